#pragma once

#include <string>
#include <string_view>

#include "base/json/json.h"

/// Members of objects that others wrote: what is absent or of another type reads as nothing, never as an error.
namespace tidegate::scheduler::kube {

inline const json::object* object_in(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  return found == nullptr ? nullptr : found->if_object();
}

inline std::string text_in(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

inline std::string text_in(const json::object* from, std::string_view key) {
  return from == nullptr ? std::string() : text_in(*from, key);
}

}  // namespace tidegate::scheduler::kube
