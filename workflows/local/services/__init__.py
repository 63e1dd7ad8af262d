"""The embedded Hub and store, taken apart: what they answer, where they keep it, their ports and keys."""
