"""JupyterHub for a class on one Linux server with systemd: each learner is a user of the machine, in a unit with limits.

`scripts/lab hub` starts it. What a class wants otherwise stands in a file of its own, STATE/settings.py, which is read last and
may set anything of `c`; README.md beside this file has examples. STATE is /var/lib/glasslab-hub, or the folder that
GLASSLAB_CLASS names.
"""

import os
import shutil
import sys
from pathlib import Path

c = get_config()  # noqa: F821  JupyterHub gives it
ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("GLASSLAB_CLASS", "/var/lib/glasslab-hub"))
STATE.mkdir(mode=0o700, parents=True, exist_ok=True)

# The hub. From other machines it is reached through HTTPS only (see README.md), so it listens to this one.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = f"sqlite:///{STATE / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(STATE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(STATE / "proxy.pid")
c.ConfigurableHTTPProxy.command = [shutil.which("node") or "node", str(ROOT / ".lab" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy")]
# Learners' servers go on while the hub is started again.
c.JupyterHub.cleanup_servers = False

# Who may come in: users of this machine who are in the group `learners`, with their password.
c.JupyterHub.authenticator_class = "pam"
c.LocalAuthenticator.allowed_groups = {"learners"}
c.PAMAuthenticator.open_sessions = False

# A learner's server: their own copies of the notebooks, then JupyterLab, as their own user.
c.JupyterHub.spawner_class = "systemd"
c.Spawner.cmd = [sys.executable, str(ROOT / "scripts" / "lab"), "singleuser"]
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120

# What one learner may take, at most. Where processors are short, systemd gives every unit the same share of them.
PROCESSORS = min(2, max(1, (os.cpu_count() or 1) // 2))
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = PROCESSORS
c.SystemdSpawner.unit_name_template = "glasslab-{USERNAME}"
c.SystemdSpawner.unit_extra_properties = {
    "TasksMax": "512",
    "MemorySwapMax": "0",
    # They write to their home; all else is read-only, or a small place in memory that counts as theirs. How much a home may
    # hold is the file system's to limit (README.md, "A full disk").
    "ProtectSystem": "strict",
    "ReadWritePaths": "/home/{USERNAME}",
    "TemporaryFileSystem": "/tmp:size=512M,mode=1777 /var/tmp:size=64M,mode=1777 /dev/shm:size=256M,mode=1777 /run/lock:size=1M,mode=1777",
    "LimitCORE": "0",
    "KeyringMode": "private",
}
# As many threads as processors: more would wait for each other. The lab's caches are the learner's own.
c.Spawner.environment = {"OMP_NUM_THREADS": str(PROCESSORS), "RAYON_NUM_THREADS": str(PROCESSORS), "CARGO_BUILD_JOBS": str(PROCESSORS)}
c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL", "SSL_CERT_FILE"]

# Who is away gives the memory back: a kernel after an hour without a cell, and then the server. Notebooks are saved; variables are gone.
IDLE = 3600
c.Spawner.args = [f"--MappingKernelManager.cull_idle_timeout={IDLE}", "--MappingKernelManager.cull_interval=300",
                  "--MappingKernelManager.cull_connected=True"]
c.JupyterHub.load_roles = [{"name": "idle-culler", "services": ["idle-culler"],
                            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"]}]
c.JupyterHub.services = [{"name": "idle-culler", "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={2 * IDLE}"]}]

settings = STATE / "settings.py"
if settings.exists():
    exec(compile(settings.read_text(encoding="utf-8"), str(settings), "exec"))
