# The commands of moleblend_plugin on a CPU, for a user without rights:
#
#   docker build -t moleblend .
#   docker run --rm -v "$PWD:/work" moleblend fit my.csv --target logS --out model/
#   docker run --rm -v "$PWD:/work" -p 127.0.0.1:8000:8000 moleblend serve model/ --host 0.0.0.0 --allow-host localhost
#
# Files that it writes belong to user 10001; with --user "$(id -u):$(id -g)" they are yours. Where the default index has
# PyTorch for GPUs, which is some gigabytes larger, name the index of its CPU builds (PyTorch's page "Get started" has
# it): docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS -t moleblend .
#
# make docker-test runs these steps without a container engine (tools/docker_steps.sh reads this file).
FROM python:3.12-slim

# What RDKit's drawings link to.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libexpat1 libxext6 libxrender1 \
 && rm -rf /var/lib/apt/lists/*

ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

# The package with the versions that were tested. Torch comes first, so that a change of the package keeps its layer.
WORKDIR /opt/moleblend
COPY requirements.txt ./
RUN python -m pip install -c requirements.txt torch
COPY pyproject.toml setup.py README.md LICENSE ./
COPY moleblend_plugin ./moleblend_plugin
RUN python -m pip install -c requirements.txt ".[parquet,serve,tensorboard,tune]"

# Caches (numba, matplotlib) and results are written here, by whatever user the container runs as.
WORKDIR /work
RUN chmod 1777 .
ENV HOME=/work OMP_WAIT_POLICY=PASSIVE NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib USER=moleblend LOGNAME=moleblend
USER 10001:10001
ENTRYPOINT ["moleblend"]
CMD ["--help"]
