// The only code that changes a ClusterImage: replay of records, and loading of stored rows.
//
// An image is also a set of rows (ordered keys, serialized values): that is how it is stored, shipped in snapshots and
// digested. The digest is the sum of the rows' hashes, so a change costs only the rows it touches.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "broker/base/result.h"
#include "broker/meta/image.h"
#include "broker/meta/records.pb.h"

namespace ordeal::meta {

// key -> value; an absent value in a set of changes means that the row is removed. Key layout (big-endian):
//   "ib" id:4                -> StoredBroker           "if" name -> level:4
//   "it" topic:16            -> StoredTopic            "in"      -> next producer id:8
//   "ip" topic:16 partition:4 -> PartitionRecord
using Rows = std::map<std::string, std::string, std::less<>>;
using RowChanges = std::map<std::string, std::optional<std::string>, std::less<>>;
inline constexpr std::string_view kImagePrefix = "i";
inline constexpr std::string_view kImageEnd = "j";

class ImageBuilder {
 public:
  // Starts from a copy that shares all topics with `base`.
  explicit ImageBuilder(const ClusterImage& base) : image_(base) {}

  // Applies one entry. Errc::corrupt when a record contradicts the image: then log or image is damaged, and the
  // half-changed builder must be thrown away.
  Status replay(const MetadataBatch& batch, Offset index);
  Status replay(std::string_view serialized_batch, Offset index);
  // An entry without records.
  void skip(Offset index);

  const ClusterImage& view() const { return image_; }
  ImagePtr build() const { return std::make_shared<const ClusterImage>(image_); }
  // All rows changed since the last call, as they are now.
  RowChanges take_changes();

  // `rows` as to_rows() gives them. Errc::corrupt when they do not parse or fit together.
  static Result<ImagePtr> load(const Rows& rows, Offset offset);
  static Rows to_rows(const ClusterImage& image);

 private:
  Status replay_record(const MetadataRecord& record, Offset index);
  Status register_broker(const RegisterBrokerRecord& record, Offset index);
  Status unregister_broker(const UnregisterBrokerRecord& record);
  Status change_broker(NodeId id, BrokerEpoch epoch, bool fenced, bool shutting_down);
  Status create_topic(const TopicRecord& record);
  Status remove_topic(const RemoveTopicRecord& record);
  Status create_partition(const PartitionRecord& record);
  Status change_partition(const PartitionChangeRecord& record);
  Status set_config(const TopicConfigRecord& record);
  Status set_producer_id(const ProducerIdBlockRecord& record);
  Status set_feature(const FeatureRecord& record);

  // A topic that this entry may change in place; nullptr when there is none.
  TopicImage* own_topic(const Uuid& id);
  Status load_row(std::string_view key, std::string_view value);
  // To be called before and after a row changes.
  void drop_row(const std::string& key, const std::string& old_value);
  void add_row(const std::string& key, std::string new_value);

  ClusterImage image_;
  std::map<Uuid, std::shared_ptr<TopicImage>> owned_;  // copied for the entry under way
  RowChanges changes_;
};

Uuid uuid_from_bytes(std::string_view bytes);  // zero unless `bytes` has 16 bytes
std::string uuid_to_bytes(const Uuid& id);
void to_record(const ListenerEndpoint& listener, ListenerRecord* record);
std::vector<ListenerEndpoint> listeners_from(const google::protobuf::RepeatedPtrField<ListenerRecord>& records);

}  // namespace ordeal::meta
