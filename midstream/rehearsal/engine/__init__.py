"""The model server of the rehearsal, which on the wire is like vLLM 0.32."""
