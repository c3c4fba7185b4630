# LAST in a container. Not built yet: it was written without access to a registry of images, and checked by reading.
#
#   docker build -t last .                                                                     for the CPU
#   docker build -t last --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .      for NVIDIA GPUs
#
# Data are read from ./data and runs are written to ./runs of the folder that is mounted:
#
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/workspace" last demo
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/workspace" --gpus all --ipc host --stop-timeout 120 \
#       last train --model base_e --dataset ntu60 --amp --resume auto
#
# `docker stop` then lets training save, for which ten seconds, Docker's default, can be too short. Loader workers need
# more shared memory than a container has without `--ipc host`.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/last
# torch first: it is by far the largest part, and changes less often than the source.
COPY constraints.txt /source/
RUN /opt/last/bin/pip install "$(grep '^torch==' /source/constraints.txt)" --index-url "${TORCH_INDEX}"
COPY . /source
RUN /opt/last/bin/pip install -c /source/constraints.txt "/source[all]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/last /opt/last
# USER and HOME serve libraries that ask for them, also where `--user` names somebody whom the image does not know.
ENV PATH=/opt/last/bin:$PATH PYTHONUNBUFFERED=1 USER=last HOME=/tmp
RUN useradd --create-home --uid 1000 last
USER last
WORKDIR /workspace
ENTRYPOINT ["last-har"]
CMD ["--help"]
