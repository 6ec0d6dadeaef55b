# JupyterLab with the lab ready, on x86-64 and aarch64:
#
#   docker build -t glasslab .
#   docker run --rm -p 127.0.0.1:8888:8888 -e GLASSLAB_HOME=/home/learner/mine -v glasslab-mine:/home/learner/mine glasslab
#
# Then open the address with the token that it prints. Notebooks and results are in the volume glasslab-mine, which stays.
# Everything is set up by the same scripts as on a machine of your own; scripts/try-docker proves these steps without docker.

# The tools, and a person to use them. This much is .devcontainer's machine, too.
FROM rust:1.95-bookworm AS tools

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

# Binder asks for this number. The folder of Rust is one that everybody may write to already.
# In `mine` is what is a learner's: a volume, of theirs or of a hub (deploy/hub).
RUN useradd --create-home --uid 1000 learner && install -d -o learner -g learner /home/learner/glasslab /home/learner/mine
USER learner

FROM tools
WORKDIR /home/learner/glasslab

# Only what set-up builds from: a change of the other texts, below, leaves its layer as it is.
COPY --chown=learner Cargo.toml Cargo.lock ./
COPY --chown=learner crates crates
COPY --chown=learner data data
COPY --chown=learner scripts scripts
COPY --chown=learner notebooks/00_setup_and_data.ipynb notebooks/
# `--build-arg HUB=--hub` adds what a hub starts (deploy/hub), 0.4 GB.
ARG HUB=
RUN scripts/lab setup $HUB

COPY --chown=learner notebooks notebooks
COPY --chown=learner docs docs
COPY --chown=learner deploy deploy
COPY --chown=learner README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md LICENSE-APACHE LICENSE-MIT ./

# Binder starts `jupyter` itself.
ENV PATH=/home/learner/glasslab/.lab/python/bin:$PATH
EXPOSE 8888
CMD ["scripts/lab", "open", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
