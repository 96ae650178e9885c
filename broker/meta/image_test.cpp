// Replay, rows, digests and the stored state.
#include "broker/meta/image.h"

#include <doctest/doctest.h>

#include "broker/kv/memory_store.h"
#include "broker/meta/image_builder.h"
#include "broker/meta/raft_storage.h"

namespace ordeal::meta {
namespace {

Uuid topic_id(std::uint8_t number) {
  Uuid id;
  id.bytes[15] = number;
  return id;
}

void add_broker(MetadataBatch& batch, NodeId id, Offset epoch, const std::string& rack = "") {
  RegisterBrokerRecord* record = batch.add_records()->mutable_register_broker();
  record->set_broker_id(id);
  record->set_broker_epoch(epoch);
  record->set_incarnation_id(uuid_to_bytes(topic_id(static_cast<std::uint8_t>(id))));
  record->set_rack(rack);
  to_record({"CLIENT", {"10.0.0.1", 9092}}, record->add_listeners());
}

void add_topic(MetadataBatch& batch, const std::string& name, std::uint8_t number, int partitions) {
  TopicRecord* topic = batch.add_records()->mutable_topic();
  topic->set_name(name);
  topic->set_topic_id(uuid_to_bytes(topic_id(number)));
  for (int i = 0; i < partitions; ++i) {
    PartitionRecord* record = batch.add_records()->mutable_partition();
    record->set_topic_id(uuid_to_bytes(topic_id(number)));
    record->set_partition(i);
    for (const NodeId node : {1, 2, 3}) record->add_replicas(node), record->add_isr(node);
    record->set_leader(1);
  }
}

PartitionChangeRecord& add_change(MetadataBatch& batch, std::uint8_t topic, PartitionId partition) {
  PartitionChangeRecord& change = *batch.add_records()->mutable_partition_change();
  change.set_topic_id(uuid_to_bytes(topic_id(topic)));
  change.set_partition(partition);
  return change;
}

void set_config(MetadataBatch& batch, std::uint8_t topic, const std::string& name, const std::string& value) {
  TopicConfigRecord* config = batch.add_records()->mutable_topic_config();
  config->set_topic_id(uuid_to_bytes(topic_id(topic)));
  config->set_name(name);
  config->set_value(value);
}

// Brokers 1..3, topics a (2 partitions) and b (1), at offset 3.
ImageBuilder sample() {
  ImageBuilder builder{ClusterImage{}};
  MetadataBatch first, second, third;
  add_broker(first, 1, 1, "r1");
  REQUIRE(builder.replay(first, 1));
  add_broker(second, 2, 2);
  REQUIRE(builder.replay(second, 2));
  add_topic(third, "a", 10, 2);
  add_topic(third, "b", 11, 1);
  set_config(third, 11, "min.insync.replicas", "2");
  third.add_records()->mutable_producer_id_block()->set_next_producer_id(1000);
  FeatureRecord* feature = third.add_records()->mutable_feature();
  feature->set_name("metadata.version");
  feature->set_level(1);
  REQUIRE(builder.replay(third, 3));
  return builder;
}

TEST_CASE("records build the image") {
  const ImagePtr image = sample().build();
  CHECK(image->offset() == 3);
  REQUIRE(image->broker(1));
  CHECK(image->broker(1)->fenced);
  CHECK(image->broker(1)->epoch == 1);
  CHECK(image->broker(1)->rack == "r1");
  CHECK(image->broker(1)->endpoint("CLIENT")->port == 9092);
  CHECK(image->broker(1)->endpoint("REPLICATION") == nullptr);
  CHECK(image->broker(9) == nullptr);
  REQUIRE(image->topic("a"));
  CHECK(image->topic("a") == image->topic(topic_id(10)));
  CHECK(image->topic("a")->partitions.size() == 2);
  CHECK(image->partition("a", 1)->leader == 1);
  CHECK(image->partition("a", 2) == nullptr);
  CHECK(image->partition("a", -1) == nullptr);
  CHECK(*image->topic("b")->config("min.insync.replicas") == "2");
  CHECK(image->next_producer_id() == 1000);
}

TEST_CASE("a change of leader raises both epochs, any other change the partition epoch only") {
  ImageBuilder builder = sample();
  MetadataBatch batch;
  add_change(batch, 10, 0).set_leader(2);
  add_change(batch, 10, 1).mutable_isr()->add_nodes(1);
  REQUIRE(builder.replay(batch, 4));
  const PartitionImage& moved = *builder.view().partition("a", 0);
  CHECK(moved.leader == 2);
  CHECK(moved.leader_epoch == 1);
  CHECK(moved.partition_epoch == 1);
  const PartitionImage& shrunk = *builder.view().partition("a", 1);
  CHECK(shrunk.isr == std::vector<NodeId>{1});
  CHECK(shrunk.leader_epoch == 0);
  CHECK(shrunk.partition_epoch == 1);
}

TEST_CASE("an image never changes and shares what did not change with its successor") {
  ImageBuilder builder = sample();
  const ImagePtr before = builder.build();
  MetadataBatch batch;
  add_change(batch, 10, 0).set_leader(3);
  REQUIRE(builder.replay(batch, 4));
  const ImagePtr after = builder.build();
  CHECK(before->partition("a", 0)->leader == 1);
  CHECK(after->partition("a", 0)->leader == 3);
  CHECK(before->topic("b") == after->topic("b"));
  CHECK(before->digest() != after->digest());
}

TEST_CASE("removing a topic removes all its rows") {
  ImageBuilder builder = sample();
  const Rows before = ImageBuilder::to_rows(builder.view());
  (void)builder.take_changes();
  MetadataBatch batch;
  batch.add_records()->mutable_remove_topic()->set_topic_id(uuid_to_bytes(topic_id(10)));
  REQUIRE(builder.replay(batch, 4));
  CHECK(builder.view().topic("a") == nullptr);
  CHECK(builder.view().topic(topic_id(10)) == nullptr);
  const RowChanges changes = builder.take_changes();
  CHECK(changes.size() == 3);
  for (const auto& [key, value] : changes) CHECK_FALSE(value.has_value());
  CHECK(ImageBuilder::to_rows(builder.view()).size() == before.size() - 3);
}

TEST_CASE("records that contradict the image are corruption, not changes") {
  const auto replay = [](auto fill) {
    ImageBuilder builder = sample();
    MetadataBatch batch;
    fill(batch);
    const Status status = builder.replay(batch, 4);
    return !status && status.error().code == Errc::corrupt;
  };
  CHECK(replay([](MetadataBatch& batch) { add_broker(batch, 1, 3); }));  // epoch is not the index
  CHECK(replay([](MetadataBatch& batch) { add_topic(batch, "a", 12, 1); }));
  CHECK(replay([](MetadataBatch& batch) { add_topic(batch, "c", 10, 1); }));
  CHECK(replay([](MetadataBatch& batch) { add_change(batch, 10, 7).set_leader(1); }));
  CHECK(replay([](MetadataBatch& batch) { add_change(batch, 99, 0).set_leader(1); }));
  CHECK(replay([](MetadataBatch& batch) { add_change(batch, 10, 0).set_leader(9); }));
  CHECK(replay([](MetadataBatch& batch) { (void)add_change(batch, 10, 0).mutable_isr(); }));
  CHECK(replay([](MetadataBatch& batch) { batch.add_records()->mutable_fence_broker()->set_broker_id(7); }));
  CHECK(replay([](MetadataBatch& batch) { batch.add_records()->mutable_fence_broker()->set_broker_id(1); }));
  CHECK(replay(
      [](MetadataBatch& batch) { batch.add_records()->mutable_producer_id_block()->set_next_producer_id(1000); }));
  CHECK(replay([](MetadataBatch& batch) { batch.add_records(); }));
  ImageBuilder builder = sample();
  CHECK_FALSE(builder.replay(MetadataBatch{}, 3));
  CHECK_FALSE(builder.replay(std::string_view("\xff garbage"), 4));
}

TEST_CASE("the digest depends on the content, not on the way to it") {
  ImageBuilder direct{ClusterImage{}}, detour{ClusterImage{}};
  MetadataBatch topic, config, reset, producer;
  add_topic(topic, "a", 10, 1);
  set_config(config, 10, "retention.ms", "5");
  TopicConfigRecord* clear = reset.add_records()->mutable_topic_config();
  clear->set_topic_id(uuid_to_bytes(topic_id(10)));
  clear->set_name("retention.ms");
  REQUIRE(direct.replay(topic, 1));
  REQUIRE(detour.replay(topic, 1));
  REQUIRE(detour.replay(config, 2));
  CHECK(detour.view().digest() != direct.view().digest());
  REQUIRE(detour.replay(reset, 3));
  CHECK(detour.view().digest() == direct.view().digest());
}

TEST_CASE("rows give the same image again, with the same digest") {
  const ImagePtr image = sample().build();
  const Rows rows = ImageBuilder::to_rows(*image);
  const Result<ImagePtr> again = ImageBuilder::load(rows, 3);
  REQUIRE(again);
  CHECK((*again)->digest() == image->digest());
  CHECK((*again)->brokers() == image->brokers());
  CHECK(*(*again)->topic("a") == *image->topic("a"));
  CHECK(*(*again)->topic("b") == *image->topic("b"));
  CHECK((*again)->features() == image->features());

  Rows damaged = rows;
  damaged.begin()->second += "x";
  CHECK_FALSE(ImageBuilder::load(damaged, 3));
  Rows stranger = rows;
  stranger["iz"] = "?";
  CHECK_FALSE(ImageBuilder::load(stranger, 3));
}

raft::Effects entries_effects(std::vector<raft::Entry> entries, std::optional<raft::Index> truncate = {}) {
  raft::Effects effects;
  effects.append = std::move(entries);
  effects.truncate_from = truncate;
  return effects;
}

TEST_CASE("what was persisted is loaded again: hard state, entries, image, applied index") {
  kv::MemoryStore store;
  const auto fresh = load_state(store);
  REQUIRE(fresh);
  CHECK(fresh->raft.hard_state == raft::HardState{0, kNoNode, true});
  CHECK(fresh->image->offset() == 0);

  raft::Effects effects = entries_effects({{1, 1, raft::EntryKind::leader_change, ""},
                                           {2, 1, raft::EntryKind::records, "a"},
                                           {3, 1, raft::EntryKind::records, "b"},
                                           {4, 1, raft::EntryKind::records, "c"}});
  effects.hard_state = raft::HardState{1, 2};
  REQUIRE(store.write(persist_batch(effects, nullptr), kv::Sync::yes));
  effects = entries_effects({{3, 2, raft::EntryKind::records, "n"}}, 3);
  effects.hard_state = raft::HardState{2, kNoNode};
  REQUIRE(store.write(persist_batch(effects, nullptr), kv::Sync::yes));
  ImageBuilder builder = sample();
  REQUIRE(store.write(apply_batch(builder.take_changes(), builder.view()), kv::Sync::no));

  const auto stored = load_state(store);
  REQUIRE(stored);
  CHECK(stored->raft.hard_state == raft::HardState{2, kNoNode});
  REQUIRE(stored->raft.entries.size() == 3);
  CHECK(stored->raft.entries[2] == raft::Entry{3, 2, raft::EntryKind::records, "n"});
  CHECK(stored->raft.applied == 3);
  CHECK(stored->image->digest() == builder.view().digest());

  REQUIRE(store.write(compact_batch({2, 1, 77, {{1, {"10.0.0.1", 9094}}, {4, {"10.0.0.4", 9095}}}}), kv::Sync::yes));
  const auto compacted = load_state(store);
  REQUIRE(compacted);
  CHECK(compacted->raft.base == raft::LogBase{2, 1, 77, {{1, {"10.0.0.1", 9094}}, {4, {"10.0.0.4", 9095}}}});
  CHECK(compacted->raft.entries.size() == 1);
}

TEST_CASE("a damaged store is refused") {
  const auto stored_sample = [] {
    auto store = std::make_unique<kv::MemoryStore>();
    raft::Effects effects = entries_effects({{1, 1, raft::EntryKind::records, "a"},
                                             {2, 1, raft::EntryKind::records, "b"},
                                             {3, 1, raft::EntryKind::records, "c"}});
    effects.hard_state = raft::HardState{1, 1};
    REQUIRE(store->write(persist_batch(effects, nullptr), kv::Sync::yes));
    ImageBuilder builder = sample();
    REQUIRE(store->write(apply_batch(builder.take_changes(), builder.view()), kv::Sync::yes));
    return store;
  };
  REQUIRE(load_state(*stored_sample()));
  const auto refuses = [&](auto damage) {
    const auto store = stored_sample();
    kv::WriteBatch batch;
    damage(batch);
    REQUIRE(store->write(batch, kv::Sync::yes));
    const auto loaded = load_state(*store);
    return !loaded && loaded.error().code == Errc::corrupt;
  };
  using std::string_literals::operator""s;
  CHECK(refuses([](kv::WriteBatch& batch) { batch.remove("rl\0\0\0\0\0\0\0\2"s); }));  // a hole in the log
  CHECK(refuses([](kv::WriteBatch& batch) { batch.remove("rl\0\0\0\0\0\0\0\3"s); }));  // applied beyond the log
  CHECK(refuses([](kv::WriteBatch& batch) { batch.put("rh", "short"); }));
  CHECK(refuses([](kv::WriteBatch& batch) { batch.remove("if" + "metadata.version"s); }));  // the digest notices
  CHECK(refuses([](kv::WriteBatch& batch) { batch.put("in", "\0\0\0\0\0\0\x07\xd0"s); }));
}

TEST_CASE("a snapshot carries the whole image and replaces log and image at once") {
  ImageBuilder builder = sample();
  const raft::Snapshot snapshot = encode_snapshot(builder.view(), {3, 4});
  CHECK(snapshot.base == raft::LogBase{3, 4});
  const Result<ImagePtr> image = decode_snapshot(snapshot);
  REQUIRE(image);
  CHECK((*image)->digest() == builder.view().digest());

  kv::MemoryStore store;
  raft::Effects before = entries_effects({{1, 1, raft::EntryKind::records, "old"}});
  before.hard_state = raft::HardState{2, 3};
  REQUIRE(store.write(persist_batch(before, nullptr), kv::Sync::yes));
  raft::Effects install = entries_effects({{4, 4, raft::EntryKind::records, "next"}});
  install.install = snapshot;
  REQUIRE(store.write(persist_batch(install, *image), kv::Sync::yes));
  const auto stored = load_state(store);
  REQUIRE(stored);
  CHECK(stored->raft.hard_state == raft::HardState{2, 3});
  CHECK(stored->raft.base == raft::LogBase{3, 4});
  REQUIRE(stored->raft.entries.size() == 1);
  CHECK(stored->raft.entries[0].data == "next");
  CHECK(stored->image->digest() == builder.view().digest());

  raft::Snapshot damaged = snapshot;
  damaged.data.back() ^= 1;
  CHECK_FALSE(decode_snapshot(damaged));
  damaged = snapshot;
  damaged.base.index = 7;
  CHECK_FALSE(decode_snapshot(damaged));
}

}  // namespace
}  // namespace ordeal::meta
