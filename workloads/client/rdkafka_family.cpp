// What a workload asks for, in librdkafka's properties.
#include <algorithm>

#include "workloads/client/rdkafka.h"

namespace ordeal::client {

Properties rdkafka_properties(const ClientSettings& settings) {
  std::string bootstrap;
  for (const Endpoint& endpoint : settings.bootstrap)
    bootstrap += (bootstrap.empty() ? "" : ",") + endpoint.to_string();
  return {{"bootstrap.servers", bootstrap},
          {"client.id", settings.client_id},
          {"broker.address.family", "v4"},
          // Short reconnects and fresh metadata: a trial asks what the cluster does, not how long a client sulks.
          {"reconnect.backoff.ms", "50"},
          {"reconnect.backoff.max.ms", "500"},
          {"topic.metadata.refresh.interval.ms", "2000"},
          {"topic.metadata.refresh.fast.interval.ms", "100"},
          {"topic.metadata.propagation.max.ms", "60000"},
          {"socket.timeout.ms", std::to_string(settings.request_timeout_ms)},
          {"socket.nagle.disable", "true"},
          {"log_level", "0"}};
}

Result<std::unique_ptr<ProducerClient>> RdFamily::producer(const ProducerSettings& settings, OnDelivery on_delivery) {
  Properties all = rdkafka_properties(settings);
  all.emplace_back("acks", std::to_string(settings.acks));
  all.emplace_back("enable.idempotence", settings.idempotence ? "true" : "false");
  all.emplace_back("compression.codec", settings.compression);
  all.emplace_back("linger.ms", std::to_string(settings.linger_ms));
  all.emplace_back("max.in.flight.requests.per.connection",
                   std::to_string(settings.idempotence ? std::min(settings.max_in_flight, 5) : settings.max_in_flight));
  all.emplace_back("request.timeout.ms", std::to_string(settings.request_timeout_ms));
  all.emplace_back("delivery.timeout.ms", std::to_string(settings.delivery_timeout_ms));
  all.emplace_back("retry.backoff.ms", "50");
  if (settings.retries >= 0) all.emplace_back("message.send.max.retries", std::to_string(settings.retries));
  all.insert(all.end(), extra_.begin(), extra_.end());
  return RdProducer::create(all, std::move(on_delivery));
}

Result<std::unique_ptr<ConsumerClient>> RdFamily::consumer(const ConsumerSettings& settings,
                                                           std::vector<TopicPartition> table) {
  Properties all = rdkafka_properties(settings);
  all.emplace_back("group.id", settings.client_id);  // librdkafka wants one; nothing is committed or joined
  all.emplace_back("enable.auto.commit", "false");
  // A position the log no longer has is an error to be seen, not a silent jump.
  all.emplace_back("auto.offset.reset", "error");
  all.emplace_back("isolation.level", settings.isolation);
  all.emplace_back("check.crcs", "true");
  all.emplace_back("fetch.wait.max.ms", std::to_string(settings.poll_interval_ms));
  all.emplace_back("fetch.error.backoff.ms", "100");
  all.insert(all.end(), extra_.begin(), extra_.end());
  return RdConsumer::create(all, std::move(table));
}

}  // namespace ordeal::client
