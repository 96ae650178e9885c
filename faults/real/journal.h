// What the nemesis says: replies and events on stdout, and the same events in faults.jsonl, which is the record that
// the checker and the report judge by. A line is written whole before the next thing happens, so that a record of a
// fault survives whatever kills the nemesis.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "faults/real/fd.h"

namespace ordeal::nemesis {

class Journal {
 public:
  explicit Journal(int output) : output_(output) {}

  // Appended to; begins with the events that came before it was opened.
  Status open_file(const std::string& path);
  // Adds `t` and `event`; returns the time it stamped, in nanoseconds.
  std::int64_t event(const std::string& name, nlohmann::json fields);
  void reply(const nlohmann::json& re, nlohmann::json fields);      // no `re`, no reply
  void refuse(const nlohmann::json& re, const std::string& error);  // without `re`: an `error` event

 private:
  void write(int fd, const nlohmann::json& line);

  int output_;
  Fd file_;
  std::vector<nlohmann::json> before_file_;
  bool output_gone_ = false;
};

}  // namespace ordeal::nemesis
