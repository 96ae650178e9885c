// Clients behind an adapter, by what a workload asks of them: said in Kafka's own property names.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "workloads/adapter/process.h"
#include "workloads/client/client.h"

namespace ordeal::adapter {

class AdapterFamily final : public client::ClientFamily {
 public:
  // Starts the program. `extra` properties come last, so they win.
  static Result<std::unique_ptr<AdapterFamily>> start(const std::vector<std::string>& argv, client::Properties extra,
                                                      Limits limits = {});

  std::string kind() const override { return process_->hello().client; }
  std::string version() const override { return process_->hello().version; }
  std::map<std::string, std::string> facts() const override;
  Result<std::unique_ptr<client::ProducerClient>> producer(const client::ProducerSettings& settings,
                                                           client::OnDelivery on_delivery) override;
  Result<std::unique_ptr<client::ConsumerClient>> consumer(const client::ConsumerSettings& settings,
                                                           std::vector<TopicPartition> table) override;

 private:
  AdapterFamily(std::shared_ptr<Process> process, client::Properties extra)
      : process_(std::move(process)), extra_(std::move(extra)) {}

  std::shared_ptr<Process> process_;
  client::Properties extra_;
};

client::Properties kafka_properties(const client::ProducerSettings& settings);
client::Properties kafka_properties(const client::ConsumerSettings& settings);

}  // namespace ordeal::adapter
