#include "faults/sim/messages/words.h"

#include <doctest/doctest.h>

#include "broker/base/random.h"
#include "broker/meta/control_codec.h"
#include "broker/wire/messages/all.h"
#include "broker/wire/record_batch.h"

namespace ordeal::sim {
namespace {

using namespace wire;

constexpr std::uint64_t kConnection = 7;

Uuid topic_id() {
  Uuid id;
  id.bytes[0] = 0x41;
  return id;
}

std::string raw(const Uuid& id) { return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}; }

Bytes batch(std::int64_t offset, std::int32_t epoch, int records, std::int32_t sequence) {
  BatchBuilder builder({.base_offset = offset,
                        .partition_leader_epoch = epoch,
                        .producer_id = 1000,
                        .producer_epoch = 0,
                        .base_sequence = sequence});
  for (int i = 0; i < records; ++i) builder.append(5, std::nullopt, as_bytes("value"));
  return builder.build();
}

// Says requests and answers on one connection, as a network would show them.
struct Talk {
  template <class Request>
  std::string ask(const Request& request, std::int16_t version) {
    version_ = version;
    return sentence(words.kafka.request(kConnection, encode_request({0, version, ++correlation_, "c"}, request)));
  }
  template <class Response>
  std::string answer(const Response& response) {
    return sentence(words.kafka.reply(kConnection, encode_response(correlation_, version_, response)));
  }
  std::string control(const meta::Envelope& envelope) {
    return sentence(words.control.tell(kConnection, as_bytes(meta::encode_frame(envelope))));
  }
  std::string raft(std::int64_t term, meta::raft::Message message) {
    meta::Envelope envelope;
    message.from = 2;
    message.to = 1;
    message.term = term;
    meta::encode_raft(message, envelope);
    return control(envelope);
  }

  Words words;

 private:
  std::int32_t correlation_ = 0;
  std::int16_t version_ = 0;
};

ProduceRequest produce(std::int16_t acks) {
  ProduceRequest request;
  request.acks = acks;
  request.topic_data.push_back({"t", {}, {{0, Slice::own(batch(0, 0, 4, 12))}}});
  return request;
}

FetchRequest fetch(std::int32_t session, std::int32_t epoch) {
  FetchRequest request;
  request.session_id = session;
  request.session_epoch = epoch;
  return request;
}

meta::Envelope alter_partition() {
  meta::Envelope envelope;
  envelope.set_api("alter_partition");
  envelope.set_correlation(300);
  meta::AlterPartitionRequest* body = envelope.mutable_request()->mutable_alter_partition();
  auto* part = body->add_partitions();
  part->set_topic_id(raw(topic_id()));
  part->set_partition(0);
  part->set_leader_epoch(3);
  part->add_new_isr()->set_broker_id(1);
  part->add_new_isr()->set_broker_id(2);
  return envelope;
}

}  // namespace

TEST_CASE("produce says how many records of which sequence numbers, and where they went") {
  Talk talk;
  CHECK(talk.ask(produce(-1), 9) == "produce t/0 4 records seq 12..15 of producer 1000");
  ProduceResponse good;
  good.responses.push_back({"t", {}, {{.index = 0, .base_offset = 57}}});
  CHECK(talk.answer(good) == "appended t/0 at 57..60");
  CHECK(talk.ask(produce(1), 9) == "produce with acks=1 t/0 4 records seq 12..15 of producer 1000");
  ProduceResponse bad;
  bad.responses.push_back({"t", {}, {{.index = 0, .error_code = ErrorCode::not_leader_or_follower}}});
  CHECK(talk.answer(bad) == "refused t/0 NOT_LEADER_OR_FOLLOWER");
  CHECK(talk.answer(bad).empty());  // nobody asked
}

TEST_CASE("a fetch says offset and epoch, its answer what came, and a session remembers what it is about") {
  Talk talk;
  talk.words.names.learn(topic_id(), "t");
  FetchRequest full = fetch(0, 0);
  full.topics.push_back({"", topic_id(), {{.partition = 0, .current_leader_epoch = 3, .fetch_offset = 57}}});
  full.topics[0].partitions.push_back(
      {.partition = 1, .current_leader_epoch = 2, .fetch_offset = 9, .last_fetched_epoch = 1});
  CHECK(talk.ask(full, 16) == "fetch t/0 from 57 in epoch 3, t/1 from 9 in epoch 2, last of epoch 1");
  FetchResponse some;
  some.responses.push_back({"", topic_id(), {{.partition_index = 0, .high_watermark = 57}}});
  some.responses[0].partitions[0].records = Slice::own(batch(57, 3, 5, 0));
  CHECK(talk.answer(some) == "fetched t/0 57..61 of epoch 3, hw 57, t/1 nothing new");
  FetchRequest more = fetch(8, 1);
  more.topics.push_back({"", topic_id(), {{.partition = 0, .current_leader_epoch = 3, .fetch_offset = 62}}});
  more.forgotten_topics_data.push_back({"", topic_id(), {1}});
  CHECK(talk.ask(more, 16) == "fetch t/0 from 62 in epoch 3");
  CHECK(talk.answer(FetchResponse{}) == "fetched t/0 nothing new");
  CHECK(talk.ask(fetch(8, 2), 16) == "fetch t/0 from 62 in epoch 3");
  FetchResponse diverged;
  diverged.responses.push_back({"", topic_id(), {{.partition_index = 0, .diverging_epoch = {2, 41}}}});
  CHECK(talk.answer(diverged) == "fetched t/0 diverges: epoch 2 ends at 41");
  talk.ask(fetch(8, 3), 16);
  FetchResponse refused;
  refused.error_code = ErrorCode::fetch_session_id_not_found;
  CHECK(talk.answer(refused) == "refused: FETCH_SESSION_ID_NOT_FOUND t/0");
}

TEST_CASE("smaller requests and their answers are told, too") {
  Talk talk;
  ListOffsetsRequest list;
  list.topics.push_back({"t", {{0, 3, kLatestTimestamp}}});
  CHECK(talk.ask(list, 5) == "ask offsets of t/0 the end");
  ListOffsetsResponse listed;
  listed.topics.push_back({"t", {{.partition_index = 0, .offset = 41, .leader_epoch = 3}}});
  CHECK(talk.answer(listed) == "offsets: t/0 41 in epoch 3");
  OffsetForLeaderEpochRequest where;
  where.topics.push_back({"t", {{0, 3, 2}}});
  CHECK(talk.ask(where, 4) == "where does it end: t/0 epoch 2");
  OffsetForLeaderEpochResponse there;
  there.topics.push_back({"t", {{.partition = 0, .leader_epoch = 2, .end_offset = 41}}});
  CHECK(talk.answer(there) == "ends: t/0 epoch 2 at 41");
  CHECK(talk.ask(InitProducerIdRequest{}, 4) == "ask for a producer id");
  InitProducerIdResponse given;
  given.producer_id = 1000;
  CHECK(talk.answer(given) == "you are producer 1000 epoch 0");
  MetadataRequest about;
  about.topics.emplace().push_back({{}, "t\n\xff"});
  CHECK(talk.ask(about, 9) == "ask about t??");
  MetadataResponse described;
  described.controller_id = 2;
  described.brokers.resize(3);
  described.topics.push_back(
      {.name = "t", .partitions = {{.partition_index = 0, .leader_id = 1, .leader_epoch = 3, .isr_nodes = {1, 2}}}});
  CHECK(talk.answer(described) == "3 brokers, controller n2: t/0 leader n1 in epoch 3, ISR {1,2}");
}

TEST_CASE("votes name the candidate, its log and the outcome") {
  Talk talk;
  using namespace meta::raft;
  CHECK(talk.raft(6, {.body = VoteRequest{.last_index = 41, .last_term = 5}}) ==
        "vote for n2 in term 6? its log ends at 41 of term 5");
  CHECK(talk.raft(6, {.body = VoteResponse{.granted = true}}) == "vote for n1 in term 6: granted");
  CHECK(talk.raft(6, {.body = VoteResponse{.pre = true}}) == "pre-vote for n1 in term 6: refused");
}

TEST_CASE("an append tells the records that it carries, and teaches the names of topics") {
  Talk talk;
  meta::MetadataBatch records;
  auto* topic = records.add_records()->mutable_topic();
  topic->set_name("t");
  topic->set_topic_id(raw(topic_id()));
  records.add_records()->mutable_fence_broker()->set_broker_id(3);
  auto* change = records.add_records()->mutable_partition_change();
  change->set_topic_id(raw(topic_id()));
  change->set_leader(2);
  change->mutable_isr()->add_nodes(2);
  using namespace meta::raft;
  AppendRequest append;
  append.prev_index = 41;
  append.entries = {{42, 5, EntryKind::records, records.SerializeAsString()}, {43, 5, EntryKind::leader_change, ""}};
  CHECK(talk.raft(5, {.body = append}) ==
        "append 2 entries after 41 in term 5 (topic t, n3 fenced, term 5 begins): t/0 leader n2 ISR {2}");
  append.entries = {{42, 5, EntryKind::records, "\x0a\xff"}};
  CHECK(talk.raft(5, {.body = append}) == "append 1 entry after 41 in term 5 ((damaged))");
  append.entries.clear();
  CHECK(talk.raft(5, {.body = append}) == "leads term 5, log ends at 41, commit 0");
  CHECK(talk.raft(5, {.body = AppendResponse{.ok = true, .match_index = 43}}) == "has the log up to 43 in term 5");
  CHECK(talk.control(alter_partition()) == "alter partition t/0 ISR {1,2} in epoch 3");
}

TEST_CASE("a refusal by the controller repeats what was asked") {
  Talk talk;
  talk.words.names.learn(topic_id(), "t");
  talk.control(alter_partition());
  meta::Envelope answer;
  answer.set_correlation(300);
  auto* part = answer.mutable_response()->mutable_alter_partition()->add_partitions();
  part->set_topic_id(raw(topic_id()));
  part->set_error_code(74);
  CHECK(talk.control(answer) == "alter partition t/0 ISR {1,2} in epoch 3: refused FENCED_LEADER_EPOCH");
  talk.control(alter_partition());
  meta::Envelope elsewhere;
  elsewhere.set_correlation(300);
  elsewhere.mutable_response()->set_error_code(41);
  CHECK(talk.control(elsewhere) == "refused NOT_CONTROLLER: alter partition t/0 ISR {1,2} in epoch 3");
}

TEST_CASE("damaged bytes are called so, or told wrongly, but never more") {
  Random random(11);
  std::vector<Bytes> frames;
  FetchRequest fetch_one = fetch(0, 0);
  fetch_one.topics.push_back({"", topic_id(), {{.partition = 0, .current_leader_epoch = 3, .fetch_offset = 57}}});
  frames.push_back(encode_request({0, 9, 1, "c"}, produce(-1)));
  frames.push_back(encode_request({0, 16, 1, "c"}, fetch_one));
  FetchResponse some;
  some.responses.push_back({"", topic_id(), {{.partition_index = 0, .high_watermark = 57}}});
  some.responses[0].partitions[0].records = Slice::own(batch(57, 3, 5, 0));
  frames.push_back(encode_response(1, 16, some));
  const std::string envelope = meta::encode_frame(alter_partition());
  frames.push_back(Bytes(envelope.begin(), envelope.end()));
  Talk talk;
  int damaged = 0;
  for (int round = 0; round < 4000; ++round) {
    Bytes frame = frames[random.below(frames.size())];
    for (std::uint64_t i = random.below(4); i > 0 && !frame.empty(); --i)
      frame[random.below(frame.size())] = static_cast<std::uint8_t>(random.below(256));
    if (random.chance(1, 3)) frame.resize(random.below(frame.size() + 1));
    for (const Told& told :
         {talk.words.kafka.request(1, frame), talk.words.kafka.reply(1, frame), talk.words.control.tell(1, frame)}) {
      const std::string text = sentence(told);
      damaged += text.find("(damaged") != std::string::npos ? 1 : 0;
      CHECK(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; }));
    }
  }
  CHECK(damaged > 1000);
}

}  // namespace ordeal::sim
