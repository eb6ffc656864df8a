# Every step is a command of the Makefile; tests/test_dockerfile.py holds that.
# Portable CPU image: docker build -t sovereign-gateway .
# CUDA image:         docker build -t sovereign-gateway:cuda \
#   --build-arg BUILD_IMAGE=nvidia/cuda:12.8.1-devel-ubuntu24.04 \
#   --build-arg RUN_IMAGE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 \
#   --build-arg CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_CUDA=ON" .
ARG BUILD_IMAGE=debian:13-slim
ARG RUN_IMAGE=debian:13-slim

FROM ${BUILD_IMAGE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    build-essential make python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/gateway
# Not for the processor of the machine that builds: on x86-64 this needs AVX2, FMA, F16C and BMI2
# (since 2013), on ARM the base of ARMv8.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"
ENV CMAKE_ARGS=${CMAKE_ARGS}
COPY Makefile pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY deploy/build_llama_wheel.py deploy/choose_python.py deploy/
COPY gateway/processes/interpreter.py gateway/processes/interpreter.py
RUN make .venv/.stamps/local .venv/.stamps/model
COPY gateway gateway
RUN make setup

FROM ${RUN_IMAGE}
# libgomp: llama.cpp's threads.
RUN apt-get update && apt-get install -y --no-install-recommends python3 libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/gateway --create-home gateway
COPY --from=build /opt/gateway /opt/gateway
COPY configs/gateway.yaml /etc/gateway/gateway.yaml
# `gateway ban` writes its toggles into the policy folder.
COPY --chown=gateway:gateway configs/policies /etc/gateway/policies
COPY models /etc/gateway/models
ENV PATH=/opt/gateway/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_LOCAL__MANIFESTS=/etc/gateway/models \
    GATEWAY_STATE__DIR=/var/lib/gateway
USER gateway
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway
EXPOSE 8080
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s CMD ["python3", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--config", "/etc/gateway/gateway.yaml", "--policy", "/etc/gateway/policies", \
     "--host", "0.0.0.0"]
