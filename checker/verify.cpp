// The second opinion: each property once more, from its definition, by trying pairs and triples of a few operations.
// Deliberately naive, and deliberately blind to everything the checks computed.
#include "checker/witness.h"

namespace ordeal::checker {
namespace {

using history::Function;
using history::Type;
using Ops = std::vector<Operation>;

constexpr std::int32_t kOutOfOrderSequence = 45;  // Kafka's code

bool seen(const Operation& op) { return op.function == Function::read || op.function == Function::audit; }
bool is_send(const Operation& op, Type type) { return op.function == Function::send && op.type == type; }
bool same_place(const Operation& a, const Operation& b) { return a.where == b.where && a.offset == b.offset; }
bool same_client(const Operation& a, const Operation& b) { return a.writer == b.writer && a.process == b.process; }
bool foreign(const Operation& op) { return op.value == history::kForeignValue; }
bool damaged(const Operation& op) { return op.error.starts_with("bad_crc") || op.error.starts_with("bad_size"); }

template <class Test>
bool any(const Ops& ops, Test test) {
  for (const Operation& op : ops)
    if (test(op)) return true;
  return false;
}
template <class Test>
bool any_pair(const Ops& ops, Test test) {
  for (std::size_t a = 0; a < ops.size(); ++a)
    for (std::size_t b = 0; b < ops.size(); ++b)
      if (a != b && test(ops[a], ops[b])) return true;
  return false;
}

// The audit read everything below `end.offset`; what is beyond it is missing only if that end is proven.
bool passed(const Operation& end, const Operation& what) {
  if (end.function != Function::audit_end || end.where != what.where) return false;
  if (what.offset >= 0 && what.offset < end.offset) return true;
  return end.type == Type::ok && what.time_ns < end.time_ns;
}

bool lost(const Ops& ops) {
  return any_pair(ops, [&](const Operation& send, const Operation& end) {
    return is_send(send, Type::ok) && passed(end, send) && !any(ops, [&](const Operation& op) {
             return op.function == Function::audit && op.where == send.where && op.value == send.value;
           });
  });
}

bool vanished(const Ops& ops) {
  return any_pair(ops, [&](const Operation& read, const Operation& end) {
    return read.function == Function::read && end.function == Function::audit_end && end.where == read.where &&
           read.offset < end.offset &&
           !any(ops, [&](const Operation& op) { return op.function == Function::audit && same_place(op, read); });
  });
}

bool inconsistent(const Ops& ops) {
  const bool two_values = any_pair(ops, [](const Operation& a, const Operation& b) {
    const bool a_tells = seen(a) || is_send(a, Type::ok);
    return a_tells && (seen(b) || is_send(b, Type::ok)) && a.offset >= 0 && same_place(a, b) && a.value != b.value;
  });
  // Acknowledged at one offset, found at another, and the audit passed the first.
  return two_values || any_pair(ops, [&](const Operation& send, const Operation& found) {
           return is_send(send, Type::ok) && send.offset >= 0 && found.function == Function::audit &&
                  found.where == send.where && found.value == send.value && found.offset != send.offset &&
                  any(ops,
                      [&](const Operation& end) {
                        return end.function == Function::audit_end && end.where == send.where &&
                               send.offset < end.offset;
                      }) &&
                  !any(ops, [&](const Operation& op) { return seen(op) && same_place(op, send); });
         });
}

bool duplicated(const Ops& ops) {
  return any_pair(ops, [](const Operation& a, const Operation& b) {
    const bool copies = seen(a) && seen(b) && a.where == b.where && a.value == b.value && a.offset != b.offset;
    const bool refused = a.function == Function::send && (a.type == Type::info || a.type == Type::fail) &&
                         (a.error_code == kOutOfOrderSequence || a.error.starts_with("OUT_OF_ORDER_SEQUENCE")) &&
                         b.function == Function::audit && b.value == a.value && b.where == a.where;
    return copies || refused;
  });
}

bool end_regressed(const Ops& ops, bool stale_too) {
  return any_pair(ops, [&](const Operation& invoke, const Operation& answer) {
    if (invoke.function != Function::list_end || invoke.type != Type::invoke || answer.function != Function::list_end ||
        answer.type != Type::ok || !same_client(invoke, answer) || invoke.where != answer.where ||
        answer.time_ns < invoke.time_ns)
      return false;
    const auto proven = [&](LeaderEpoch epoch) { return epoch >= 0 && epoch <= answer.leader_epoch; };
    return any(ops, [&](const Operation& fact) {
      if (fact.where != answer.where || fact.type != Type::ok || fact.time_ns >= invoke.time_ns) return false;
      if (fact.function == Function::list_end)
        return fact.offset > answer.offset && (stale_too || proven(fact.leader_epoch));
      if (fact.function != Function::send || fact.offset < answer.offset) return false;
      return stale_too || any(ops, [&](const Operation& audit) {
               // Strictly higher: a later leader than the appending one may have acknowledged the record.
               return audit.function == Function::audit && same_place(audit, fact) && audit.value == fact.value &&
                      audit.leader_epoch >= 0 && audit.leader_epoch < answer.leader_epoch;
             });
    });
  });
}

bool skipped(const Ops& ops) {
  return any_pair(ops, [&](const Operation& before, const Operation& after) {
    const bool follows = after.function == Function::read && same_client(before, after) &&
                         before.where == after.where && before.time_ns <= after.time_ns;
    if (!follows || (before.function != Function::read && before.function != Function::assign)) return false;
    const Offset next = before.function == Function::read ? before.offset + 1 : before.offset;
    return any(ops, [&](const Operation& op) {
      return seen(op) && op.where == after.where && op.offset >= next && op.offset < after.offset &&
             !(op.function == Function::read && same_client(op, after) && op.time_ns >= before.time_ns &&
               op.time_ns <= after.time_ns);
    });
  });
}

bool went_back(const Ops& ops) {
  return any_pair(ops, [](const Operation& before, const Operation& after) {
    if (after.function != Function::read || !same_client(before, after) || before.where != after.where) return false;
    if (before.time_ns > after.time_ns) return false;
    return (before.function == Function::read && after.offset <= before.offset) ||
           (before.function == Function::assign && after.offset < before.offset);
  });
}

// Two acknowledged sends by their four operations.
bool sends_reordered(const Ops& ops) {
  return any_pair(ops, [&](const Operation& a, const Operation& b) {
    if (!is_send(a, Type::invoke) || !is_send(b, Type::invoke) || !same_client(a, b) || a.where != b.where)
      return false;
    if (a.value == b.value || a.time_ns > b.time_ns) return false;
    return any_pair(ops, [&](const Operation& a_ok, const Operation& b_ok) {
      return is_send(a_ok, Type::ok) && is_send(b_ok, Type::ok) && a_ok.value == a.value && b_ok.value == b.value &&
             b_ok.offset >= 0 && a_ok.offset >= b_ok.offset;
    });
  });
}

bool real_time_broken(const Ops& ops) {
  return any_pair(ops, [&](const Operation& earlier, const Operation& later) {
    return is_send(earlier, Type::ok) && is_send(later, Type::ok) && earlier.where == later.where &&
           later.offset >= 0 && earlier.offset > later.offset && any(ops, [&](const Operation& invoke) {
             return is_send(invoke, Type::invoke) && invoke.value == later.value && earlier.time_ns < invoke.time_ns;
           });
  });
}

}  // namespace

bool breaks(Prop prop, const Ops& ops, bool stale_too) {
  switch (prop) {
    case Prop::lost_write:
      return lost(ops);
    case Prop::vanished_read:
      return vanished(ops);
    case Prop::inconsistent_offsets:
      return inconsistent(ops);
    case Prop::duplicate:
      return duplicated(ops);
    case Prop::aborted_read:
      return any_pair(ops, [](const Operation& send, const Operation& read) {
        return is_send(send, Type::fail) && seen(read) && read.value == send.value;
      });
    case Prop::phantom_value:
      return any(ops, [&](const Operation& read) {
        if (!seen(read)) return false;
        return foreign(read) ? !damaged(read) : !any(ops, [&](const Operation& op) {
          return is_send(op, Type::invoke) && op.value == read.value;
        });
      });
    case Prop::wrong_partition:
      return any_pair(ops, [](const Operation& send, const Operation& read) {
        return is_send(send, Type::invoke) && seen(read) && read.value == send.value && read.where != send.where;
      });
    case Prop::corrupt_value:
      return any(ops, [](const Operation& read) { return seen(read) && foreign(read) && damaged(read); });
    case Prop::read_before_write:
      return any_pair(ops, [](const Operation& send, const Operation& read) {
        return is_send(send, Type::invoke) && seen(read) && read.value == send.value && read.time_ns < send.time_ns;
      });
    case Prop::nonmonotonic_send:
    case Prop::int_nonmonotonic_send:
      return sends_reordered(ops);
    case Prop::real_time_order:
      return real_time_broken(ops);
    case Prop::end_offset_regression:
      return end_regressed(ops, stale_too);
    case Prop::poll_skip:
    case Prop::int_poll_skip:
      return skipped(ops);
    case Prop::nonmonotonic_poll:
    case Prop::int_nonmonotonic_poll:
      return went_back(ops);
    case Prop::unseen:           // never a violation
    case Prop::log_epoch_order:  // proved by batches, not by operations
    case Prop::broken_sequence:
    case Prop::count_:
      return false;
  }
  return false;
}

Ops smallest(Prop prop, Ops ops, bool stale_too) {
  if (!breaks(prop, ops, stale_too)) return {};
  for (std::size_t at = ops.size(); at-- > 0;) {
    Ops fewer = ops;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at));
    if (breaks(prop, fewer, stale_too)) ops = std::move(fewer);
  }
  return ops;
}

}  // namespace ordeal::checker
