// Where Raft and the applied image live in the ordered KV store, and the batches that change them.
//
// Keys (numbers big-endian, so that byte order is number order):
//   "rh"           hard state: term:8 vote:4 blank:1; a store without it is blank
//   "rb"           log base: index:8 term:8 hash:8 voters (the image covers everything up to it; the log begins after)
//   "rl" index:8   entry: term:8 kind:4 data
//   "ra"           applied: index:8 digest:8
//   "i..."         rows of the applied image (image_builder.h)
// Rows and "ra" change in one batch, so that the stored image always is the image of its applied index. That batch
// need not be synced: what a crash takes is applied again from the log. Compaction is synced, and the store keeps the
// order of its writes, so the log never loses an entry that the durable image lacks.
#pragma once

#include "broker/kv/kv_store.h"
#include "broker/meta/image_builder.h"
#include "broker/meta/raft.h"

namespace ordeal::meta {

struct StoredState {
  raft::Restored raft;
  ImagePtr image;
};

// What is in the store; an empty store is a fresh node. Errc::corrupt when it does not fit together: the image's
// digest is computed anew and compared with the stored one.
Result<StoredState> load_state(const kv::KvReader& store);

// Part 1 of the effects (raft.h), for one synced write. `installed` is the image decoded from effects.install.
kv::WriteBatch persist_batch(const raft::Effects& effects, const ImagePtr& installed);
kv::WriteBatch apply_batch(const RowChanges& changes, const ClusterImage& image);
// The log up to `base` goes; synced.
kv::WriteBatch compact_batch(const raft::LogBase& base);

// The state machine's snapshot: the whole image; `base` as Raft::snapshot_base() gives it. decode checks rows and
// digest.
raft::Snapshot encode_snapshot(const ClusterImage& image, raft::LogBase base);
Result<ImagePtr> decode_snapshot(const raft::Snapshot& snapshot);

}  // namespace ordeal::meta
