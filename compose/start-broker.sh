#!/bin/sh
# Entry point of the image: fills in what differs from broker to broker, then becomes the broker (so that SIGTERM
# reaches it and moves its leaders away).
#   ORDEAL_NODE_ID   1, 2, 3       ORDEAL_RACK  rack name        ORDEAL_ADDRESS  this container's address
#   ORDEAL_VOTERS    1@addr:9094,2@addr:9094,3@addr:9094
set -eu
: "${ORDEAL_NODE_ID:?}" "${ORDEAL_ADDRESS:?}" "${ORDEAL_VOTERS:?}"
exec /usr/bin/ordeal-broker --config /etc/ordeal/broker.properties \
  --set "node.id=$ORDEAL_NODE_ID" \
  --set "broker.rack=${ORDEAL_RACK:-r$ORDEAL_NODE_ID}" \
  --set "listeners=CLIENT://$ORDEAL_ADDRESS:9092,REPLICATION://$ORDEAL_ADDRESS:9093,CONTROLLER://$ORDEAL_ADDRESS:9094" \
  --set "controller.quorum.voters=$ORDEAL_VOTERS" "$@"
