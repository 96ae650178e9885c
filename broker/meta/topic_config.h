// The topic configurations that exist, and what values they take (Kafka's names and ranges).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ordeal::meta {

// What is wrong with `name` = `value`; nullopt when it is fine. Unknown names are wrong.
std::optional<std::string> check_topic_config(std::string_view name, std::string_view value);
std::vector<std::string_view> topic_config_names();  // sorted
bool is_list_config(std::string_view name);          // its elements are separated by commas

// What is wrong with a topic name; nullopt when it is fine.
std::optional<std::string> check_topic_name(std::string_view name);
// Names that differ only in '.' and '_' would collide in metric names; Kafka refuses the second.
bool topic_names_collide(std::string_view a, std::string_view b);

}  // namespace ordeal::meta
