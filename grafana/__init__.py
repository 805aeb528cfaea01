"""Grafana: dashboards and alerting as code, made from parameters and rule packs; and `emitwatch grafana push`."""
