# What stands in for vLLM in the cluster's tests: started by the same command, up within a second.
ARG BASE
FROM ${BASE}
COPY model_server.py /app/vllm/entrypoints/openai/api_server.py
RUN python -m compileall -q --invalidation-mode=unchecked-hash /app && chmod -R a+rX /app
WORKDIR /app
USER 1000:1000
ENV HOME=/tmp PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
