"""What tests share: a misbehaving upstream, a real server to talk to, and clients. No tests in here."""
