// Encoding of image rows. Values are Protobuf without map fields, so equal content means equal bytes.
#include "broker/meta/image_rows.h"

#include "broker/base/bytes.h"

namespace ordeal::meta {

Uuid uuid_from_bytes(std::string_view bytes) {
  Uuid id;
  if (bytes.size() == id.bytes.size()) std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

std::string uuid_to_bytes(const Uuid& id) { return std::string(as_text(ByteView(id.bytes))); }

void to_record(const ListenerEndpoint& listener, ListenerRecord* record) {
  record->set_name(listener.name);
  record->set_host(listener.endpoint.host);
  record->set_port(listener.endpoint.port);
}

std::vector<ListenerEndpoint> listeners_from(const google::protobuf::RepeatedPtrField<ListenerRecord>& records) {
  std::vector<ListenerEndpoint> listeners;
  for (const ListenerRecord& record : records)
    listeners.push_back({record.name(), Endpoint{record.host(), static_cast<std::uint16_t>(record.port())}});
  return listeners;
}

namespace rows {
namespace {

template <class Int>
std::string be(Int number) {
  std::string bytes(sizeof number, '\0');
  store_be(reinterpret_cast<std::uint8_t*>(bytes.data()), number);
  return bytes;
}

template <class From>
std::vector<NodeId> nodes(const From& list) {
  return {list.begin(), list.end()};
}

}  // namespace

std::string broker_key(NodeId id) { return "ib" + be(id); }
std::string topic_key(const Uuid& id) { return "it" + uuid_to_bytes(id); }
std::string partition_key(const Uuid& topic, PartitionId partition) {
  return "ip" + uuid_to_bytes(topic) + be(partition);
}
std::string feature_key(std::string_view name) { return "if" + std::string(name); }
std::string producer_id_key() { return "in"; }

std::string broker_value(const BrokerImage& broker) {
  StoredBroker stored;
  RegisterBrokerRecord* registration = stored.mutable_registration();
  registration->set_broker_id(broker.id);
  registration->set_broker_epoch(broker.epoch);
  registration->set_incarnation_id(uuid_to_bytes(broker.incarnation));
  for (const ListenerEndpoint& listener : broker.listeners) to_record(listener, registration->add_listeners());
  registration->set_rack(broker.rack);
  registration->set_log_durable(broker.log_durable);
  stored.set_fenced(broker.fenced);
  stored.set_shutting_down(broker.shutting_down);
  return stored.SerializeAsString();
}

std::string topic_value(const TopicImage& topic) {
  StoredTopic stored;
  stored.set_name(topic.name);
  for (const auto& [name, value] : topic.configs) {
    StoredTopicConfig* config = stored.add_configs();
    config->set_name(name);
    config->set_value(value);
  }
  return stored.SerializeAsString();
}

std::string partition_value(const Uuid& topic, PartitionId number, const PartitionImage& partition) {
  PartitionRecord record;
  record.set_topic_id(uuid_to_bytes(topic));
  record.set_partition(number);
  record.mutable_replicas()->Assign(partition.replicas.begin(), partition.replicas.end());
  record.mutable_isr()->Assign(partition.isr.begin(), partition.isr.end());
  record.set_leader(partition.leader);
  record.set_leader_epoch(partition.leader_epoch);
  record.set_partition_epoch(partition.partition_epoch);
  record.mutable_elr()->Assign(partition.elr.begin(), partition.elr.end());
  record.mutable_last_known_elr()->Assign(partition.last_known_elr.begin(), partition.last_known_elr.end());
  return record.SerializeAsString();
}

std::string feature_value(std::int32_t level) { return be(level); }
std::string producer_id_value(ProducerId next) { return be(next); }

std::uint64_t hash(std::string_view key, std::string_view value) {
  return fnv1a(as_bytes(value), fnv1a(as_bytes(key)) ^ key.size());
}

BrokerImage broker_from(const RegisterBrokerRecord& record) {
  BrokerImage broker;
  broker.id = record.broker_id();
  broker.epoch = record.broker_epoch();
  broker.incarnation = uuid_from_bytes(record.incarnation_id());
  broker.rack = record.rack();
  broker.log_durable = record.log_durable();
  broker.listeners = listeners_from(record.listeners());
  return broker;
}

PartitionImage partition_from(const PartitionRecord& record) {
  PartitionImage partition;
  partition.replicas = nodes(record.replicas());
  partition.isr = nodes(record.isr());
  partition.leader = record.leader();
  partition.leader_epoch = record.leader_epoch();
  partition.partition_epoch = record.partition_epoch();
  partition.elr = nodes(record.elr());
  partition.last_known_elr = nodes(record.last_known_elr());
  return partition;
}

}  // namespace rows
}  // namespace ordeal::meta
