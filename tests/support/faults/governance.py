"""Faults of who may what, what is spent, and what happens by itself. Each field is legal by itself."""

from __future__ import annotations

from faults.base import GONE, Fault, rule

GOVERNANCE: list[Fault] = [
    rule("roles_have_users", "role of nobody", "eks.PodIdentityAssociation/tracking", gone=True),
    rule(
        "roles_trust_their_users",
        "role that another service takes",
        "iam.Role/tracking",
        {"assumeRolePolicy.Statement.0.Principal": {"Service": "ec2.amazonaws.com"}},
    ),
    rule(
        "pods_roles_can_be_taken",
        "session without tags",
        "iam.Role/tracking",
        {"assumeRolePolicy.Statement.0.Action": ["sts:AssumeRole"]},
    ),
    rule(
        "identities_are_unique",
        "service account misspelt",
        "eks.PodIdentityAssociation/tracking",
        {"serviceAccount": "Tracking"},
    ),
    rule(
        "identities_are_unique",
        "service account with two roles",
        "eks.PodIdentityAssociation/tracking",
        {"serviceAccount": "features"},
    ),
    rule("identities_are_unique", "another cluster's", "eks.PodIdentityAssociation/tracking", {"clusterName": "other"}),
    rule(
        "identities_are_used",
        "account that the chart does not make",
        "chart/karpenter",
        {"values.serviceAccount.name": "kapenter"},
    ),
    rule("budgets_are_legal", "budget of a type that is none", "budgets.Budget", {"budgetType": "MONEY"}),
    rule("budgets_are_legal", "negative budget", "budgets.Budget", {"limitAmount": "-100"}),
    rule("budgets_are_legal", "budget in euros", "budgets.Budget", {"limitUnit": "EUR"}),
    rule("budgets_are_legal", "budget a fortnight", "budgets.Budget", {"timeUnit": "FORTNIGHTLY"}),
    rule(
        "budgets_are_legal", "comparison misspelt", "budgets.Budget", {"notifications.0.comparisonOperator": "GREATER"}
    ),
    rule("budgets_are_legal", "forecast misspelt", "budgets.Budget", {"notifications.0.notificationType": "FORECAST"}),
    rule("budgets_are_legal", "alert at nothing", "budgets.Budget", {"notifications.0.threshold": 0}),
    rule("budgets_are_legal", "nobody told", "budgets.Budget", {"notifications": []}),
    rule(
        "bills_are_told_apart",
        "budget on a tag that bills do not know",
        "costexplorer.CostAllocationTag",
        gone=True,
        stack="grown",
    ),
    rule("alerts_arrive", "budgets not let in", "sns.TopicPolicy", gone=True),
    rule("alerts_arrive", "nobody listens", "sns.TopicSubscription", gone=True, stack="dev"),
    rule("alerts_arrive", "key that lets nobody publish", "kms.Key/logs", {"policy.Statement": []}),
    rule(
        "confused_deputies_are_refused",
        "queue on anybody's behalf",
        "sqs.QueuePolicy/interruptions",
        {"policy.Statement.0.Condition": GONE},
    ),
    rule("anomalies_are_told", "anomalies told to nobody", "costexplorer.AnomalySubscription", {"subscribers": []}),
    rule(
        "anomalies_are_told",
        "mail at once",
        "costexplorer.AnomalySubscription",
        {"subscribers": [{"type": "EMAIL", "address": "a@example.com"}]},
    ),
    rule("schedules_are_legal", "backup by Kubernetes' cron", "backup.Plan", {"rules.0.schedule": "cron(0 5 * * *)"}),
    rule(
        "schedules_are_legal",
        "night at 25",
        "scheduler.Schedule",
        {"scheduleExpression": "cron(0 25 ? * MON-FRI *)"},
        stack="dev",
    ),
    rule(
        "schedules_are_legal",
        "two days at once",
        "scheduler.Schedule",
        {"scheduleExpression": "cron(0 20 1 * MON *)"},
        stack="dev",
    ),
    rule(
        "production_never_sleeps",
        "production asleep, past the spec",
        "provider/aws",
        {"defaultTags.tags.mlplat:environment": "prod"},
        stack="dev",
    ),
    rule(
        "time_zones_exist",
        "zone that there is not",
        "scheduler.Schedule",
        {"scheduleExpressionTimezone": "Europe/Dubblin"},
        stack="dev",
    ),
    rule("trail_is_whole", "trail of one region", "cloudtrail.Trail", {"isMultiRegionTrail": False}),
    rule("trail_is_whole", "trail that proves nothing", "cloudtrail.Trail", {"enableLogFileValidation": False}),
    rule("trail_is_whole", "trail before its bucket is open", "cloudtrail.Trail", depends_on=()),
    rule("trail_is_whole", "bucket closed to the trail", "s3.BucketPolicy/logs", {"policy.Statement": []}),
    rule(
        "boundary_is_on_every_role",
        "one role bound, others not",
        "iam.Role/tracking",
        {"permissionsBoundary": "arn:aws:iam::444455556666:policy/boundary"},
    ),
    rule("runner_is_unprivileged", "runner outside", "codebuild.Project", {"vpcConfig": GONE}),
]
