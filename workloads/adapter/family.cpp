#include "workloads/adapter/family.h"

#include <fmt/format.h>

#include <algorithm>

#include "workloads/adapter/clients.h"

namespace ordeal::adapter {
namespace {

client::Properties common(const client::ClientSettings& settings) {
  std::string bootstrap;
  for (const Endpoint& endpoint : settings.bootstrap)
    bootstrap += (bootstrap.empty() ? "" : ",") + endpoint.to_string();
  return {{"bootstrap.servers", bootstrap},
          {"client.id", settings.client_id},
          {"request.timeout.ms", std::to_string(settings.request_timeout_ms)},
          // Short reconnects and fresh metadata: a trial asks what the cluster does, not how long a client sulks.
          {"reconnect.backoff.ms", "50"},
          {"reconnect.backoff.max.ms", "500"},
          {"retry.backoff.ms", "50"},
          {"retry.backoff.max.ms", "500"},
          {"socket.connection.setup.timeout.ms", "2000"},
          {"socket.connection.setup.timeout.max.ms", "5000"},
          {"metadata.max.age.ms", "2000"},
          {"enable.metrics.push", "false"}};
}

void append(client::Properties& all, const client::Properties& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

client::Properties kafka_properties(const client::ProducerSettings& settings) {
  client::Properties all = common(settings);
  all.emplace_back("acks", settings.acks == -1 ? "all" : std::to_string(settings.acks));
  all.emplace_back("enable.idempotence", settings.idempotence ? "true" : "false");
  all.emplace_back("compression.type", settings.compression);
  all.emplace_back("linger.ms", std::to_string(settings.linger_ms));
  all.emplace_back("max.in.flight.requests.per.connection",
                   std::to_string(settings.idempotence ? std::min(settings.max_in_flight, 5) : settings.max_in_flight));
  all.emplace_back("delivery.timeout.ms", std::to_string(settings.delivery_timeout_ms));
  // How long send() itself may wait for metadata or memory: the records behind it wait too.
  all.emplace_back("max.block.ms", "1000");
  if (settings.retries >= 0) all.emplace_back("retries", std::to_string(settings.retries));
  return all;
}

client::Properties kafka_properties(const client::ConsumerSettings& settings) {
  client::Properties all = common(settings);
  all.emplace_back("enable.auto.commit", "false");
  // A position the log no longer has is an error to be seen, not a silent jump.
  all.emplace_back("auto.offset.reset", "none");
  all.emplace_back("isolation.level", settings.isolation);
  all.emplace_back("check.crcs", "true");
  all.emplace_back("allow.auto.create.topics", "false");
  all.emplace_back("fetch.max.wait.ms", std::to_string(settings.poll_interval_ms));
  all.emplace_back("max.poll.records", std::to_string(settings.poll_max));
  return all;
}

Result<std::unique_ptr<AdapterFamily>> AdapterFamily::start(const std::vector<std::string>& argv,
                                                            client::Properties extra, Limits limits) {
  auto process = Process::start(argv, limits);
  if (!process) return fail(process.error());
  return std::unique_ptr<AdapterFamily>(new AdapterFamily(std::move(*process), std::move(extra)));
}

std::map<std::string, std::string> AdapterFamily::facts() const {
  const Hello& hello = process_->hello();
  std::map<std::string, std::string> facts{{"adapter.protocol", std::to_string(kProtocol)},
                                           {"client.library", hello.library}};
  if (!hello.runtime.empty()) facts["client.runtime"] = hello.runtime;
  return facts;
}

Result<std::unique_ptr<client::ProducerClient>> AdapterFamily::producer(const client::ProducerSettings& settings,
                                                                        client::OnDelivery on_delivery) {
  client::Properties all = kafka_properties(settings);
  append(all, extra_);
  return AdapterProducer::create(process_, all, std::move(on_delivery));
}

Result<std::unique_ptr<client::ConsumerClient>> AdapterFamily::consumer(const client::ConsumerSettings& settings,
                                                                        std::vector<TopicPartition> table) {
  client::Properties all = kafka_properties(settings);
  append(all, extra_);
  return AdapterConsumer::create(process_, all, std::move(table));
}

}  // namespace ordeal::adapter
