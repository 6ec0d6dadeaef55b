# JupyterLab with the lab ready:
#
#   docker build -t glasslab .
#   docker run --rm -p 127.0.0.1:8888:8888 glasslab        then open the address with the token that it prints
#
# Everything is set up by the same scripts as on a machine of your own.
FROM rust:1.95-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home learner && chmod -R a+rwX "$CARGO_HOME" "$RUSTUP_HOME"
USER learner
WORKDIR /home/learner/glasslab

COPY --chown=learner . .
RUN scripts/lab setup

EXPOSE 8888
CMD ["scripts/lab", "open", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
