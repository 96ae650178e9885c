// Protobuf on one side, plain structs on the other: the only place of the history that knows both.
#include "workloads/history/codec.h"

#include <fmt/format.h>

#include <limits>

#include "workloads/history/history.pb.h"

namespace ordeal::history {

const char* function_name(Function function) {
  switch (function) {
    case Function::send:
      return "send";
    case Function::poll:
      return "poll";
    case Function::read:
      return "read";
    case Function::list_end:
      return "list_end";
    case Function::assign:
      return "assign";
    case Function::audit:
      return "audit";
    case Function::audit_end:
      return "audit_end";
    case Function::audit_start:
      return "audit_start";
  }
  return "?";
}

const char* type_name(Type type) {
  switch (type) {
    case Type::invoke:
      return "invoke";
    case Type::ok:
      return "ok";
    case Type::fail:
      return "fail";
    case Type::info:
      return "info";
  }
  return "?";
}

namespace codec {
namespace {

void put(const AuditBatch& batch, pb::AuditBatch& out) {
  out.set_object(batch.object);
  out.set_base_offset(batch.base_offset);
  out.set_last_offset(batch.last_offset);
  out.set_leader_epoch(batch.leader_epoch);
  out.set_producer_id(batch.producer_id);
  out.set_producer_epoch(batch.producer_epoch);
  out.set_base_sequence(batch.base_sequence);
  out.set_record_count(batch.record_count);
  out.set_control_type(static_cast<std::uint32_t>(batch.control));
  out.set_crc_ok(batch.crc_ok);
}

Result<AuditBatch> get(const pb::AuditBatch& in) {
  if (in.object() > kNoObject) return fail(Errc::corrupt, "audit batch names an impossible object");
  if (in.control_type() > 3) return fail(Errc::corrupt, "audit batch has an unknown control type");
  if (in.base_offset() < 0 || in.last_offset() < in.base_offset())
    return fail(Errc::corrupt, "audit batch ends before it begins");
  AuditBatch batch;
  batch.object = static_cast<std::uint16_t>(in.object());
  batch.base_offset = in.base_offset();
  batch.last_offset = in.last_offset();
  batch.leader_epoch = in.leader_epoch();
  batch.producer_id = in.producer_id();
  batch.producer_epoch = static_cast<ProducerEpoch>(in.producer_epoch());
  batch.base_sequence = in.base_sequence();
  batch.record_count = in.record_count();
  batch.control = static_cast<ControlType>(in.control_type());
  batch.crc_ok = in.crc_ok();
  return batch;
}

void put(const ProducerReset& reset, pb::ProducerReset& out) {
  out.set_process(reset.process);
  out.set_time_ns(reset.time_ns);
  out.set_old_producer_id(reset.old_producer_id);
  out.set_old_producer_epoch(reset.old_producer_epoch);
  out.set_new_producer_id(reset.new_producer_id);
  out.set_new_producer_epoch(reset.new_producer_epoch);
  out.set_cause_code(reset.cause_code);
  out.set_cause_object(reset.cause_object);
  out.set_cause_sequence(reset.cause_sequence);
  out.set_cause_node(reset.cause_node);
}

ProducerReset get(const pb::ProducerReset& in) {
  ProducerReset reset;
  reset.process = static_cast<std::uint16_t>(in.process());
  reset.time_ns = in.time_ns();
  reset.old_producer_id = in.old_producer_id();
  reset.old_producer_epoch = static_cast<ProducerEpoch>(in.old_producer_epoch());
  reset.new_producer_id = in.new_producer_id();
  reset.new_producer_epoch = static_cast<ProducerEpoch>(in.new_producer_epoch());
  reset.cause_code = in.cause_code();
  reset.cause_object = static_cast<std::uint16_t>(in.cause_object());
  reset.cause_sequence = in.cause_sequence();
  reset.cause_node = in.cause_node();
  return reset;
}

Bytes serialise(const google::protobuf::MessageLite& message) {
  Bytes out(message.ByteSizeLong());
  message.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

}  // namespace

Bytes encode_file_header(const Header& header) {
  pb::Header out;
  out.set_schema(header.schema);
  out.set_run_id(header.run_id);
  out.set_writer(header.writer);
  out.set_client_kind(header.client_kind);
  out.set_client_version(header.client_version);
  for (const auto& [name, version] : header.protocol_versions) (*out.mutable_protocol_versions())[name] = version;
  for (const TopicPartition& object : header.objects) {
    pb::TopicPartition* entry = out.add_objects();
    entry->set_topic(object.topic);
    entry->set_partition(object.partition);
  }
  for (const auto& [key, value] : header.config) (*out.mutable_config())[key] = value;
  out.set_value_first(header.value_first);
  out.set_value_stride(header.value_stride);
  const Bytes proto = serialise(out);
  Bytes bytes(padded(kFilePrefix + proto.size()));
  std::memcpy(bytes.data(), kFileMagic.data(), kFileMagic.size());
  const auto length = static_cast<std::uint32_t>(proto.size());
  const std::uint32_t crc = crc32c(proto);
  std::memcpy(bytes.data() + 8, &length, 4);
  std::memcpy(bytes.data() + 12, &crc, 4);
  std::memcpy(bytes.data() + kFilePrefix, proto.data(), proto.size());
  return bytes;
}

Result<Header> decode_header(ByteView proto_bytes) {
  pb::Header in;
  if (!in.ParseFromArray(proto_bytes.data(), static_cast<int>(proto_bytes.size())))
    return fail(Errc::corrupt, "the header does not parse");
  if (in.schema() == 0) return fail(Errc::corrupt, "the header names no schema");
  if (in.schema() > kSchema)
    return fail(Errc::unsupported,
                fmt::format("written with history schema {}, this build reads up to {}", in.schema(), kSchema));
  if (in.objects_size() >= kNoObject) return fail(Errc::corrupt, "the header lists too many topic-partitions");
  Header header;
  header.schema = in.schema();
  header.run_id = in.run_id();
  header.writer = in.writer();
  header.client_kind = in.client_kind();
  header.client_version = in.client_version();
  for (const auto& [name, version] : in.protocol_versions()) header.protocol_versions[name] = version;
  for (const pb::TopicPartition& object : in.objects()) header.objects.push_back({object.topic(), object.partition()});
  for (const auto& [key, value] : in.config()) header.config[key] = value;
  header.value_first = in.value_first();
  header.value_stride = in.value_stride();
  return header;
}

Bytes encode_side(const SideBatch& side) {
  if (side.empty()) return {};
  pb::SideBlock out;
  for (const auto& [id, error] : side.errors) {
    pb::SideEntry* entry = out.add_entries();
    entry->set_id(id);
    pb::ErrorDetail* detail = entry->mutable_error();
    detail->set_class_name(error.class_name);
    detail->set_code(error.code);
    detail->set_text(error.text);
    detail->set_retriable(error.retriable);
    detail->set_message_status(error.message_status);
  }
  for (const auto& [id, payload] : side.foreign) {
    pb::SideEntry* entry = out.add_entries();
    entry->set_id(id);
    pb::ForeignPayload* foreign = entry->mutable_foreign();
    foreign->set_reason(payload.reason);
    foreign->set_size(payload.size);
    foreign->set_head(payload.head);
  }
  for (const AuditBatch& batch : side.batches) put(batch, *out.add_entries()->mutable_audit_batch());
  for (const ProducerReset& reset : side.resets) put(reset, *out.add_entries()->mutable_producer_reset());
  for (const std::string& note : side.notes) out.add_entries()->set_note(note);
  return serialise(out);
}

Status decode_side(ByteView bytes, Side& into) {
  pb::SideBlock in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Errc::corrupt, "the side entries do not parse");
  for (const pb::SideEntry& entry : in.entries()) {
    if (entry.id() > kDetailOverflow) return fail(Errc::corrupt, "a side entry has an impossible id");
    const auto id = static_cast<std::uint16_t>(entry.id());
    switch (entry.entry_case()) {
      case pb::SideEntry::kError: {
        const pb::ErrorDetail& error = entry.error();
        into.errors[id] = {error.class_name(), error.code(), error.text(), error.retriable(), error.message_status()};
        break;
      }
      case pb::SideEntry::kForeign:
        into.foreign[id] = {entry.foreign().reason(), entry.foreign().size(), entry.foreign().head()};
        break;
      case pb::SideEntry::kAuditBatch: {
        auto batch = get(entry.audit_batch());
        if (!batch) return fail(batch.error());
        into.batches.push_back(*batch);
        break;
      }
      case pb::SideEntry::kProducerReset:
        into.resets.push_back(get(entry.producer_reset()));
        break;
      case pb::SideEntry::kNote:
        into.notes.push_back(entry.note());
        break;
      case pb::SideEntry::ENTRY_NOT_SET:
        break;  // a kind newer than this build: nothing here judges by it
    }
  }
  return {};
}

void add_side(SideBatch&& batch, Side& into) {
  for (auto& [id, error] : batch.errors) into.errors[id] = std::move(error);
  for (auto& [id, payload] : batch.foreign) into.foreign[id] = std::move(payload);
  into.batches.insert(into.batches.end(), batch.batches.begin(), batch.batches.end());
  into.resets.insert(into.resets.end(), batch.resets.begin(), batch.resets.end());
  for (std::string& note : batch.notes) into.notes.push_back(std::move(note));
}

const char* record_problem(const Record& record, std::size_t objects) {
  if (static_cast<std::uint8_t>(record.function) > static_cast<std::uint8_t>(Function::audit_start))
    return "unknown function";
  if (static_cast<std::uint8_t>(record.type) > static_cast<std::uint8_t>(Type::info)) return "unknown type";
  if (record.object != kNoObject && record.object >= objects) return "object beyond the header's table";
  if (record.object == kNoObject && record.function != Function::poll) return "no object";
  if (record.offset < -1) return "negative offset";
  return nullptr;
}

}  // namespace codec
}  // namespace ordeal::history
