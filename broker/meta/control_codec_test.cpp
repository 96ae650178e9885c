// Raft messages survive the way through an envelope; nonsense does not become a message.
#include "broker/meta/control_codec.h"

#include <doctest/doctest.h>

#include "broker/base/bytes.h"
#include "broker/base/random.h"

namespace ordeal::meta {
namespace {

using namespace raft;

Envelope through(const Message& message) {
  Envelope envelope;
  encode_raft(message, envelope);
  const std::string frame = encode_frame(envelope);
  REQUIRE(load_be<std::uint32_t>(as_bytes(frame).data()) == frame.size() - 4);
  Envelope read;
  REQUIRE(read.ParseFromString(frame.substr(4)));
  return read;
}

template <class Body>
Body round_trip(Body body, std::string_view api) {
  const Envelope envelope = through({2, 3, 7, body});
  CHECK(envelope.api() == api);
  const std::optional<Message> message = decode_raft(envelope);
  REQUIRE(message);
  CHECK(message->from == 2);
  CHECK(message->to == 3);
  CHECK(message->term == 7);
  REQUIRE(std::holds_alternative<Body>(message->body));
  return std::get<Body>(message->body);
}

TEST_CASE("every Raft message reads back as it was") {
  const auto vote = round_trip(VoteRequest{true, 5, 4, true}, "raft_pre_vote_request");
  CHECK(std::tuple(vote.pre, vote.last_index, vote.last_term, vote.transfer) == std::tuple(true, 5, 4, true));
  const auto answer = round_trip(VoteResponse{false, true}, "raft_vote_response");
  CHECK(std::tuple(answer.pre, answer.granted) == std::tuple(false, true));
  const std::vector<Entry> entries{{11, 6, EntryKind::leader_change, ""},
                                   {12, 7, EntryKind::records, std::string("\0\xff", 2)},
                                   {13, 7, EntryKind::voters, "1@10.0.0.1:9094"}};
  const auto append = round_trip(AppendRequest{10, 6, 9, entries, true}, "raft_append_request");
  CHECK(append.trusted);
  CHECK(std::tuple(append.prev_index, append.prev_term, append.commit) == std::tuple(10, 6, 9));
  CHECK(append.entries == entries);
  const auto appended = round_trip(AppendResponse{false, 1, 2, 3, 4, true}, "raft_append_response");
  CHECK(appended.blank);
  CHECK(std::tuple(appended.ok, appended.match_index, appended.rejected_prev, appended.hint_index,
                   appended.hint_term) == std::tuple(false, 1, 2, 3, 4));
  const VoterSet voters{{1, {"10.0.0.1", 9094}}, {12, {"10.0.0.12", 19094}}};
  const auto chunk = round_trip(SnapshotChunk{{8, 5, 99, voters}, 1024, "part", true}, "raft_snapshot_chunk");
  CHECK(chunk.base == LogBase{8, 5, 99, voters});
  CHECK(std::tuple(chunk.offset, chunk.data, chunk.last) == std::tuple(1024u, std::string("part"), true));
  CHECK(round_trip(SnapshotResponse{8}, "raft_snapshot_response").match_index == 8);
  (void)round_trip(TimeoutNow{}, "raft_timeout_now");
  const auto join = round_trip(Join{{"10.0.0.4", 9094}, 17}, "raft_join");
  CHECK(join.endpoint == Endpoint{"10.0.0.4", 9094});
  CHECK(join.last_index == 17);
  CHECK(round_trip(JoinResponse{voters}, "raft_join_response").voters == voters);
}

TEST_CASE("messages that make no sense are not decoded") {
  Envelope envelope;
  CHECK_FALSE(decode_raft(envelope));
  envelope.mutable_raft()->set_term(3);
  CHECK_FALSE(decode_raft(envelope));
  RaftAppendRequest* append = envelope.mutable_raft()->mutable_append_request();
  CHECK(decode_raft(envelope));
  append->add_entries()->set_kind(9);
  CHECK_FALSE(decode_raft(envelope));
  append->mutable_entries(0)->set_kind(2);
  append->mutable_entries(0)->set_data("no voters");
  CHECK_FALSE(decode_raft(envelope));
  append->clear_entries();
  append->set_prev_index(-1);
  CHECK_FALSE(decode_raft(envelope));
}

TEST_CASE("names that are no UTF-8 reach the controller, which refuses them") {
  Envelope envelope;
  envelope.mutable_request()->mutable_create_topics()->add_topics()->set_name("\xff\xfe");
  Envelope read;
  REQUIRE(read.ParseFromString(encode_frame(envelope).substr(4)));
  CHECK(read.request().create_topics().topics(0).name() == "\xff\xfe");
}

TEST_CASE("random bytes never crash the decoder") {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random.below(60), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    Envelope envelope;
    if (envelope.ParseFromString(bytes)) (void)decode_raft(envelope);
  }
}

}  // namespace
}  // namespace ordeal::meta
