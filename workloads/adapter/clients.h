// Producers and consumers that live in an adapter process (docs/formats/adapter.md).
//
// Which moment is recorded: a send's invocation before its line is written, an outcome when the line that tells it has
// been read. Both lie outside what the client itself took, so no order is claimed that was not there.
// Records are numbered on the wire (1, 2, ...): an outcome for a number that is not open breaks the adapter, and so
// does a `closed` that leaves some open.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workloads/adapter/process.h"
#include "workloads/client/client.h"

namespace ordeal::adapter {

class AdapterProducer final : public client::ProducerClient {
 public:
  static Result<std::unique_ptr<AdapterProducer>> create(std::shared_ptr<Process> process,
                                                         const client::Properties& properties,
                                                         client::OnDelivery on_delivery);
  ~AdapterProducer() override;

  std::optional<client::Refused> produce(const TopicPartition& to, std::optional<ByteView> key, ByteView value,
                                         std::uint64_t tag) override;
  int poll(int timeout_ms) override;
  std::size_t queued() const override { return open_.size(); }
  std::optional<Error> fatal_error() const override { return fatal_; }
  void purge_all() override;
  std::optional<Error> broken() const override { return process_->broken(); }

 private:
  AdapterProducer(std::shared_ptr<Process> process, std::uint64_t id, client::OnDelivery on_delivery)
      : process_(std::move(process)), id_(id), on_delivery_(std::move(on_delivery)) {}
  void flush();
  int serve(const Message& message);
  bool finish(const Message& result, client::Delivery delivery);
  void give_up(const std::string& error, const std::string& text);

  std::shared_ptr<Process> process_;
  const std::uint64_t id_;
  client::OnDelivery on_delivery_;
  std::map<std::uint64_t, std::uint64_t> open_;  // number on the wire -> tag
  std::uint64_t last_number_ = 0;
  std::string batch_;  // records of the next send line
  std::size_t batched_ = 0;
  std::optional<Error> fatal_;
  bool closed_ = false;
};

class AdapterConsumer final : public client::ConsumerClient {
 public:
  static Result<std::unique_ptr<AdapterConsumer>> create(std::shared_ptr<Process> process,
                                                         const client::Properties& properties,
                                                         std::vector<TopicPartition> table);
  ~AdapterConsumer() override;

  Status assign(const std::vector<client::Position>& positions) override;
  Status seek(const client::Position& to) override;
  client::ConsumedBatch poll(int timeout_ms, std::size_t max) override;
  std::optional<Error> broken() const override { return process_->broken(); }

 private:
  AdapterConsumer(std::shared_ptr<Process> process, std::uint64_t id, std::vector<TopicPartition> table);
  Message place(const client::Position& position) const;
  std::optional<std::size_t> object_of(const Message& message) const;
  client::ConsumedBatch unpack(const Message& message) const;

  std::shared_ptr<Process> process_;
  const std::uint64_t id_;
  const std::vector<TopicPartition> table_;
  std::map<TopicPartition, std::size_t> index_;
};

}  // namespace ordeal::adapter
