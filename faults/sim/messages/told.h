// What one message says, in words for people, and the topic names that the words need.
//
// All text is printable ASCII of bounded length, whatever the bytes were: it goes to files, terminals and pages.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/types.h"

namespace ordeal::sim {

struct Told {
  struct Part {
    std::string partition;  // "t/0"
    std::string words;      // "from 57 in epoch 3"; may be empty
  };
  std::string say;  // "fetch"; ends in a colon where the parts are a list of its own
  std::vector<Part> parts;
};

std::string sentence(const Told& told);  // "fetch t/0 from 57 in epoch 3, t/1 from 9 in epoch 2"; the first few parts

std::string printable(std::string_view text);  // at most 60 characters; others than printable ASCII become '?'
std::string error_words(std::int64_t code);    // Kafka's name of it, or "error 999"

// Ids and names of topics, learnt from whatever shows both.
class TopicNames {
 public:
  void learn(const Uuid& id, std::string_view name);
  void learn(std::string_view id, std::string_view name);  // 16 raw bytes
  std::string of(const Uuid& id) const;                    // the beginning of the id while its name is not known
  std::string of(std::string_view id) const;

 private:
  std::map<Uuid, std::string> names_;
};

std::string partition_name(std::string_view topic, std::int32_t partition);  // "t/0"

}  // namespace ordeal::sim
