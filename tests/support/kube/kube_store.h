#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json/json.h"

namespace tidegate::test {

struct KubeReply {
  int status = 200;
  json::object body;
};

/// "/apis/apps/v1/namespaces/ns/deployments/tg-d-0/status", cut.
struct KubePath {
  std::string collection;  ///< up to the plural
  std::string name;
  std::string part;  ///< "status" or ""
  std::string plural() const { return collection.substr(collection.rfind('/') + 1); }
};
KubePath parse_kube_path(std::string_view path);

/// The objects of a namespace, as an API server keeps them: one counter of versions, the events of its past until they
/// are forgotten, and for each field who applied it. Lists are one field each here, where the real one merges some by
/// key. Not thread-safe.
class KubeStore {
 public:
  struct Event {
    std::int64_t version = 0;
    std::string collection;
    std::string type;  ///< ADDED | MODIFIED | DELETED
    json::object object;
  };

  KubeReply get(const KubePath& path) const;
  /// "a=b,c=d"; `after` is the name that the page before ended with.
  KubeReply list(const std::string& collection, const std::string& selector, std::size_t limit,
                 const std::string& after) const;
  KubeReply create(const KubePath& path, json::object body, const std::string& manager);
  KubeReply replace(const KubePath& path, json::object body, const std::string& manager);
  KubeReply apply(const KubePath& path, json::object body, const std::string& manager, bool force);
  KubeReply merge(const KubePath& path, const json::object& patch, const std::string& manager);
  KubeReply remove(const KubePath& path, const json::object& options);

  /// Events after `version`; nullopt: forgotten.
  std::optional<std::vector<Event>> events_after(std::int64_t version, const std::string& collection,
                                                 const std::string& selector) const;
  std::int64_t version() const { return version_; }
  /// Everything up to now is forgotten: older watches must list again.
  void forget_past();
  /// This plural is not served (404).
  void take_away(const std::string& plural) { absent_.insert(plural); }
  bool serves(const std::string& plural) const { return !absent_.contains(plural); }
  std::size_t count(const std::string& plural) const;

 private:
  struct Stored {
    json::object object;
    std::map<std::string, std::set<std::string>> owners;  ///< by field path
  };
  using Key = std::pair<std::string, std::string>;
  void put(const KubePath& path, Stored stored, const char* type);
  void drop(const Key& key);
  KubeReply finish(const KubePath& path, Stored stored, const char* type);

  std::map<Key, Stored> objects_;
  std::vector<Event> events_;
  std::set<std::string> absent_;
  std::int64_t version_ = 100;
  std::int64_t forgotten_ = 0;
  std::int64_t uids_ = 0;
};

bool matches_selector(const json::object& object, const std::string& selector);
json::object kube_status(int code, const std::string& reason, const std::string& message);

}  // namespace tidegate::test
