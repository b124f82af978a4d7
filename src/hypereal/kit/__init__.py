"""What knows nothing of the product: money, identifiers, time, streams, outgoing HTTP, telemetry."""
