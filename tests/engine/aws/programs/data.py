"""What holds data, and its keys: the part of the foundation whose loss hurts, wired as the whole program wires it.

Two settings of the tests' own: `tests:secret`, which goes into a secret's value, and `tests:loose`, which declares a
bucket that belongs to no provider.
"""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from mlplat import deployment
from mlplat.spec.platform import parse_platform
from mlplat.targets.aws.keys import Keys
from mlplat.targets.aws.secrets import Secrets
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.storage import Storage

config, tests = pulumi.Config("mlplat"), pulumi.Config("tests")
spec = parse_platform(json.loads(config.require("platform")), "tests")
assert spec.aws is not None
deleting = config.get_bool("deleting") or False
site = Site.of(spec, pulumi.get_stack(), deployment.named(), deleting=deleting)
provider = aws.Provider("aws", region=site.region, allowed_account_ids=[site.account])
opts = pulumi.ResourceOptions(providers=[provider])
keys = Keys("keys", spec.aws.keys, site=site, opts=opts)
storage = Storage("storage", spec.aws.storage, site=site, key_arn=keys.arn("data"), opts=opts)
secrets = Secrets("secrets", spec.aws.secrets, site=site, key_arn=keys.arn("data"), opts=opts)
if value := tests.get_secret("secret"):
    first = next(iter(secrets.containers.values()))
    own = pulumi.ResourceOptions(provider=provider)
    aws.secretsmanager.SecretVersion("value", secret_id=first.id, secret_string=value, opts=own)
if tests.get_bool("loose"):
    aws.s3.Bucket("loose", bucket=site.name("loose"))
pulumi.export("bucket", storage.buckets["data"].bucket)
