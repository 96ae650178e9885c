// Follows a trace file that another process appends to, line by line. The file may not exist yet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "faults/real/fd.h"

namespace ordeal::nemesis {

class Tail {
 public:
  explicit Tail(std::string path) : path_(std::move(path)) {}

  // Hands over each whole line that has appeared since the last call; an unfinished line waits. A file that became
  // shorter was made anew: it is read from its start.
  void poll(const std::function<void(std::string_view)>& line);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Fd file_;
  std::uint64_t offset_ = 0;
  std::string partial_;
};

}  // namespace ordeal::nemesis
