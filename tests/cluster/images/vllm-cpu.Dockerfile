# A real vLLM on the CPU, started by the same command as everybody's.
ARG BASE
FROM ${BASE}
# Stands for /opt/vllm, which is put in its place when the image is loaded; see tests/cluster/kubernetes/vllm.py.
COPY stands-for /opt/vllm/
WORKDIR /tmp
USER 1000:1000
# Logprobs are compiled, eager mode or not, and there is no compiler here: without this the first question ends the engine.
ENV TORCHDYNAMO_DISABLE=1
ENV HOME=/tmp PYTHONPATH=/opt/vllm PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
