"""JupyterHub with a container for each learner (compose.yaml): the limits are docker's."""

import os

c = get_config()  # noqa: F821  JupyterHub gives it

c.JupyterHub.bind_url = "http://:8000"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
c.JupyterHub.db_url = "sqlite:////data/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "/data/cookie_secret"

# To try it. For a class: https://jupyterhub.readthedocs.io, "Authenticators".
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.DummyAuthenticator.password = os.environ["GLASSLAB_PASSWORD"]

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "glasslab:latest"
c.DockerSpawner.network_name = "glasslab-class"
c.DockerSpawner.remove = True
# The notebooks of a learner stay in a volume of theirs; docker fills a new one with those of the image, and later images' new ones
# are added when the server starts.
c.DockerSpawner.environment = {"GLASSLAB_HOME": "/home/learner/mine", "OMP_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2", "CARGO_BUILD_JOBS": "2"}
c.DockerSpawner.volumes = {"glasslab-{username}": "/home/learner/mine"}
c.DockerSpawner.cmd = ["scripts/lab", "singleuser"]
c.DockerSpawner.mem_limit = "2G"
c.DockerSpawner.cpu_limit = 2
c.DockerSpawner.extra_host_config = {"pids_limit": 512, "security_opt": ["no-new-privileges"]}
c.Spawner.http_timeout = 120
