"""Certificates for one test, made by openssl in a folder of its own."""
import os, subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Certificates:
    """An authority `ca`, and certificates that it signs: paths to PEM files by `.cert(name)` and `.key(name)`."""

    def __init__(self, folder):
        self.folder = folder
        self.make_authority("ca")
        self.make("server")

    def path(self, name):
        return os.path.join(self.folder, name)

    def cert(self, name):
        return self.path(name + ".pem")

    def key(self, name):
        return self.path(name + ".key")

    def make_authority(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN=nuthatch test {name}", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key(name),
                "-out", self.cert(name))

    def make(self, name, authority="ca", names=("DNS:localhost", "IP:127.0.0.1")):
        request, extensions = self.path(name + ".csr"), self.path(name + ".ext")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", self.key(name), "-out", request)
        with open(extensions, "w") as file:
            file.write(f"subjectAltName={','.join(names)}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.cert(authority), "-CAkey", self.key(authority),
                "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", self.cert(name))

    def options(self, *names):
        return [word for name in names or ("server",)
                for word in ("--tls-cert", self.cert(name), "--tls-key", self.key(name))]
