#!/bin/bash
# Run once by InfluxDB's own entry point, after it has made organisation and bucket: a user for Grafana that reads
# the bucket and nothing else. Everybody who sees a dashboard may ask what they like in this user's name.
set -e
influx v1 auth create --username grafana --password "$(cat /run/secrets/influx_reader)" \
    --read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID" --org "$DOCKER_INFLUXDB_INIT_ORG" > /dev/null
