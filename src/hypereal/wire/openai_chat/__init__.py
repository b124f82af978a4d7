"""OpenAI's Chat Completions, with Completions and Embeddings, which share its shapes."""
