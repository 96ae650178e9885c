// Words for Kafka's requests and their answers. Bodies are decoded with the brokers' own codec; a damaged one is called
// that and nothing more. Answers name neither version nor, often, partition, so what was asked is remembered until
// then.
#pragma once

#include <map>
#include <utility>

#include "broker/base/bytes.h"
#include "broker/wire/api.h"
#include "faults/sim/messages/told.h"

namespace ordeal::sim {

class KafkaWords {
 public:
  explicit KafkaWords(TopicNames& names) : names_(names) {}
  // `frame`: the whole message, its length in front.
  Told request(std::uint64_t connection, ByteView frame);
  Told reply(std::uint64_t connection, ByteView frame);

  struct Asked {
    std::int16_t key = 0;
    std::int16_t version = 0;
    std::vector<Told::Part> parts;
    std::map<std::string, std::int64_t> counts;  // of produce: records a partition
  };

 private:
  using Parts = std::map<std::string, std::string>;

  std::string topic(const std::string& name, const Uuid& id) const { return name.empty() ? names_.of(id) : name; }
  Told ask(std::uint64_t connection, const wire::DecodedHeader& head, Asked& asked);
  Told answer(const Asked& asked, const Slice& frame);
  Told produce(const wire::DecodedHeader& head, Asked& asked);
  Told fetch(std::uint64_t connection, const wire::DecodedHeader& head);
  Told metadata(const wire::DecodedHeader& head);
  Told produced(const Asked& asked, const Slice& frame);
  Told fetched(const Asked& asked, const Slice& frame);
  Told described(const Asked& asked, const Slice& frame);  // the answer to metadata

  TopicNames& names_;
  std::map<std::pair<std::uint64_t, std::int32_t>, Asked> asked_;  // connection and correlation id
  std::map<std::uint64_t, Parts> sessions_;  // by connection: what an incremental fetch asks for without saying so
};

}  // namespace ordeal::sim
