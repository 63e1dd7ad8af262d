"""What the demo and its tour are made of: a vLLM for the CPU, a model in several versions, a story told in steps."""
