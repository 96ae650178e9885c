// The fixed part of a history: one 32-byte record an event, little-endian, mapped and checked at memory speed.
//
// A file is one writer's (one client thread): a Protobuf header (history.proto), then checksummed blocks of these
// records with a Protobuf side block for what does not fit (errors, foreign payloads, batch evidence).
//
// Pairing: a send is identified by its value id (every value is sent once; an application's re-send is a new value),
// so invoke and completion meet by array index. A poll is an invoke, one `read` per record, and a completion.
#pragma once

#include <cstdint>

namespace ordeal::history {

enum class Type : std::uint8_t { invoke = 0, ok = 1, fail = 2, info = 3 };

enum class Function : std::uint8_t {
  send = 0,         // invoke: value, object. ok: + offset. fail/info: detail = error id in the side block
  poll = 1,         // invoke: object = 0xFFFF (all assigned). ok: offset = number of records delivered
  read = 2,         // always ok, between a poll's invoke and ok: object, offset, value, leader epoch if known
  list_end = 3,     // ListOffsets(latest): invoke; ok: offset = end offset, leader epoch if known
  assign = 4,       // ok: object was (re)assigned at position `offset`; reads before it do not order those after
  audit = 5,        // the auditor's final full read of committed records: object, offset, value, leader epoch
  audit_end = 6,    // ok: the drain of `object` reached its proven end `offset`; info: it did not (detail says why)
  audit_start = 7,  // ok: log start offset of `object` at the drain
};

inline constexpr std::uint16_t kNoObject = 0xFFFF;
inline constexpr std::uint64_t kValueBits = 40;
inline constexpr std::uint64_t kNoValue = (std::uint64_t{1} << kValueBits) - 1;       // none applies
inline constexpr std::uint64_t kForeignValue = (std::uint64_t{1} << kValueBits) - 2;  // bytes that are no value of ours

struct Record {
  std::uint64_t time_ns = 0;  // CLOCK_MONOTONIC of the recorder, stamped before the call and after its return
  std::int64_t offset = -1;
  std::uint64_t packed = kNoValue;   // low 40 bits value id, high 24 bits leader epoch + 1 (0: unknown)
  std::uint16_t process = 0;         // logical process; an info operation retires it (a zombie may still act)
  std::uint16_t object = kNoObject;  // index into the header's topic-partition table
  std::uint16_t detail = 0;          // index + 1 into the side entries (errors, foreign payloads); 0: none
  Function function = Function::send;
  Type type = Type::invoke;

  std::uint64_t value() const { return packed & kNoValue; }
  std::int32_t leader_epoch() const { return static_cast<std::int32_t>(packed >> kValueBits) - 1; }
  void set_value(std::uint64_t id, std::int32_t epoch = -1) {
    packed = (id & kNoValue) | (static_cast<std::uint64_t>(epoch + 1) << kValueBits);
  }
};
static_assert(sizeof(Record) == 32);

}  // namespace ordeal::history
