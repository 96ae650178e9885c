// A third visitor over messages: fills one with random contents that a given version can carry. For tests and fuzzing.
//
// Absent fields keep their defaults, nullable ones are null now and then, and tagged fields stay at their default half
// of the time, so that every shape of the encoding is met.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/random.h"
#include "broker/base/types.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

class RandomFill {
 public:
  RandomFill(Random& random, std::int16_t version, bool flexible)
      : random_(random), version_(version), flexible_(flexible) {}

  template <class T>
  void operator()(const char*, T& member, Versions present = kAllVersions, Versions nullable = kAllVersions) {
    if (present.has(version_)) fill(member, nullable);
  }
  template <class T>
  void tagged(std::uint32_t, const char*, T& member, Versions present, const T& = T{}) {
    if (flexible_ && present.has(version_) && random_.chance(1, 2)) fill(member, kAllVersions);
  }

 private:
  void fill(bool& member, Versions) { member = random_.chance(1, 2); }
  void fill(double& member, Versions) { member = static_cast<double>(random_.between(-1000, 1000)) / 8; }
  void fill(Uuid& member, Versions) {
    for (auto& byte : member.bytes) byte = static_cast<std::uint8_t>(random_.next());
  }
  void fill(std::string& member, Versions) {
    member.assign(random_.chance(1, 20) ? 300 : random_.below(12), 'x');
    for (char& c : member) c = static_cast<char>(random_.between('a', 'z'));
  }
  void fill(Slice& member, Versions) {
    Bytes bytes(random_.below(200));
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random_.next());
    member = Slice::own(std::move(bytes));
  }
  template <class T>
  void fill(std::optional<T>& member, Versions nullable) {
    if (nullable.has(version_) && random_.chance(1, 4)) return member.reset();
    fill(member.emplace(), nullable);
  }
  template <class T>
  void fill(std::vector<T>& member, Versions) {
    member.resize(random_.below(4));
    for (T& element : member) fill(element, kAllVersions);
  }
  template <class T>
  void fill(T& member, Versions) {
    if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      member = static_cast<T>(random_.next() >> random_.below(64));
    } else {
      member.visit(*this);
    }
  }

  Random& random_;
  std::int16_t version_;
  bool flexible_;
};

}  // namespace ordeal::wire
