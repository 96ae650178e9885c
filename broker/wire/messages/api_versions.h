// ApiVersions (18): the handshake. Its response header is never flexible, and a broker that does not know the version
// asked for answers with a version 0 body, so that any client can read which versions there are.
#pragma once

#include <optional>

#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

struct ApiVersionsResponse;

struct ApiVersionsRequest {
  static constexpr ApiKey kKey = ApiKey::api_versions;
  static constexpr const char* kName = "ApiVersionsRequest";
  using Response = ApiVersionsResponse;

  std::string client_software_name;
  std::string client_software_version;
  std::optional<std::string> cluster_id;  // KIP-1242: whom the client believes it talks to
  std::int32_t node_id = -1;
  template <class V>
  void visit(V& v) {
    v("client_software_name", client_software_name, since(3));
    v("client_software_version", client_software_version, since(3));
    v("cluster_id", cluster_id, since(5));
    v("node_id", node_id, since(5));
  }
};

struct ApiVersionsResponse {
  static constexpr ApiKey kKey = ApiKey::api_versions;
  static constexpr const char* kName = "ApiVersionsResponse";

  struct ApiVersion {
    std::int16_t api_key = 0;
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;
    template <class V>
    void visit(V& v) {
      v("api_key", api_key);
      v("min_version", min_version);
      v("max_version", max_version);
    }
  };
  struct SupportedFeatureKey {
    std::string name;
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;
    bool operator==(const SupportedFeatureKey&) const = default;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("min_version", min_version);
      v("max_version", max_version);
    }
  };
  struct FinalizedFeatureKey {
    std::string name;
    std::int16_t max_version_level = 0;
    std::int16_t min_version_level = 0;
    bool operator==(const FinalizedFeatureKey&) const = default;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("max_version_level", max_version_level);
      v("min_version_level", min_version_level);
    }
  };

  ErrorCode error_code = ErrorCode::none;
  std::vector<ApiVersion> api_keys;
  std::int32_t throttle_time_ms = 0;
  std::vector<SupportedFeatureKey> supported_features;
  std::int64_t finalized_features_epoch = -1;
  std::vector<FinalizedFeatureKey> finalized_features;
  bool zk_migration_ready = false;
  template <class V>
  void visit(V& v) {
    v("error_code", error_code);
    v("api_keys", api_keys);
    v("throttle_time_ms", throttle_time_ms, since(1));
    v.tagged(0, "supported_features", supported_features, since(3));
    v.tagged(1, "finalized_features_epoch", finalized_features_epoch, since(3), std::int64_t{-1});
    v.tagged(2, "finalized_features", finalized_features, since(3));
    v.tagged(3, "zk_migration_ready", zk_migration_ready, since(3));
  }
};

}  // namespace ordeal::wire
