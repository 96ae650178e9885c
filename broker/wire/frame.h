// Cuts a byte stream into frames: a decider without I/O, used by both ends of a connection.
//
//   while (true) { space = reader.space(); n = read_some(space); reader.commit(n);
//                  while (auto frame = reader.next()) ... }      (next() returns a Result<std::optional<Slice>>)
// Memory follows what has arrived, never what a size field promises.
#pragma once

#include <optional>

#include "broker/base/bytes.h"
#include "broker/base/result.h"

namespace ordeal::wire {

class FrameReader {
 public:
  explicit FrameReader(std::size_t frame_max) : frame_max_(frame_max) {}
  // Where the next bytes of the stream go; never empty. Valid until the next call of any member.
  MutableByteView space();
  void commit(std::size_t count);
  // The next whole frame without its size field; nullopt: read on. Errc::corrupt: a size below zero or above the limit,
  // after which the stream is useless.
  Result<std::optional<Slice>> next();

 private:
  std::size_t frame_max_;
  Bytes chunk_;  // bytes [begin_, end_) are waiting
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::optional<Bytes> large_;  // a frame too big for the chunk, growing as it comes
  std::size_t large_size_ = 0;
  std::size_t large_filled_ = 0;
};

}  // namespace ordeal::wire
