#include "tests/support/kube/kube_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "scheduler/drivers/kubernetes/objects/json_members.h"
#include "scheduler/drivers/kubernetes/objects/object_reading.h"

namespace tidegate::test {

using scheduler::kube::metadata_text;
using scheduler::kube::text_in;

namespace {

constexpr const char* kForeground = "foregroundDeletion";

template <typename Entry>
std::string key_of(const Entry& entry) {
  return {entry.key().data(), entry.key().size()};
}

/// Made when it is absent.
json::object& child_of(json::object& from, std::string_view key) {
  json::value& found = from[key];
  if (!found.is_object()) found = json::object();
  return found.get_object();
}

bool has_finalizers(const json::object& object) {
  const json::value* metadata = object.if_contains("metadata");
  const json::value* list = metadata == nullptr ? nullptr : metadata->as_object().if_contains("finalizers");
  return list != nullptr && list->is_array() && !list->get_array().empty();
}

/// What every object has without anybody owning it.
bool is_identity(const std::string& path) {
  static const std::set<std::string> kPaths = {"/apiVersion",
                                               "/kind",
                                               "/metadata/name",
                                               "/metadata/namespace",
                                               "/metadata/uid",
                                               "/metadata/resourceVersion",
                                               "/metadata/creationTimestamp"};
  return kPaths.contains(path);
}

/// Every field that is not an object with members: path -> value. '/' in a key is written "~1".
void flatten(const json::object& object, const std::string& path, std::map<std::string, json::value>& out) {
  for (const auto& entry : object) {
    std::string key = key_of(entry);
    for (std::size_t at = key.find('/'); at != std::string::npos; at = key.find('/', at + 2)) key.replace(at, 1, "~1");
    const std::string here = path + "/" + key;
    if (entry.value().is_object() && !entry.value().get_object().empty())
      flatten(entry.value().get_object(), here, out);
    else if (!is_identity(here))
      out[here] = entry.value();
  }
}

std::map<std::string, json::value> fields_of(const json::object& object) {
  std::map<std::string, json::value> out;
  flatten(object, "", out);
  return out;
}

std::vector<std::string> keys_of(const std::string& path) {
  std::vector<std::string> keys;
  for (std::size_t at = 1; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    std::string key = path.substr(at, end - at);
    for (std::size_t mark = key.find("~1"); mark != std::string::npos; mark = key.find("~1", mark))
      key.replace(mark, 2, "/");
    keys.push_back(std::move(key));
    at = end + 1;
  }
  return keys;
}

void set_field(json::object& object, const std::string& path, const json::value& value) {
  const std::vector<std::string> keys = keys_of(path);
  json::object* at = &object;
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) at = &child_of(*at, keys[i]);
  (*at)[keys.back()] = value;
}

void erase_field(json::object& object, const std::string& path) {
  const std::vector<std::string> keys = keys_of(path);
  json::object* at = &object;
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) at = &child_of(*at, keys[i]);
  at->erase(keys.back());
}

void merge_into(json::object& target, const json::object& patch) {
  for (const auto& entry : patch) {
    const std::string key = key_of(entry);
    if (entry.value().is_null())
      target.erase(key);
    else if (entry.value().is_object())
      merge_into(child_of(target, key), entry.value().get_object());
    else
      target[key] = entry.value();
  }
}

KubeReply refuse(int code, const std::string& reason, const std::string& message) {
  return {code, kube_status(code, reason, message)};
}

KubeReply not_found(const KubePath& path) {
  return refuse(404, "NotFound", fmt::format("{} \"{}\" not found", path.plural(), path.name));
}

KubeReply changed(const KubePath& path) {
  return refuse(409, "Conflict",
                fmt::format("Operation cannot be fulfilled on {} \"{}\": the object has been modified", path.plural(),
                            path.name));
}

}  // namespace

KubePath parse_kube_path(std::string_view path) {
  std::vector<std::string> words;
  for (std::size_t at = 1; at < path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    words.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  KubePath out;
  const auto found = std::find(words.begin(), words.end(), "namespaces");
  const std::size_t plural = found == words.end() ? words.size() : static_cast<std::size_t>(found - words.begin()) + 2;
  for (std::size_t i = 0; i < words.size() && i <= plural; ++i) out.collection += "/" + words[i];
  if (plural + 1 < words.size()) out.name = words[plural + 1];
  if (plural + 2 < words.size()) out.part = words[plural + 2];
  return out;
}

bool matches_selector(const json::object& object, const std::string& selector) {
  const json::value* metadata = object.if_contains("metadata");
  const json::value* labels = metadata == nullptr ? nullptr : metadata->as_object().if_contains("labels");
  for (std::size_t at = 0; at < selector.size();) {
    const auto end = std::min(selector.find(',', at), selector.size());
    const std::string one = selector.substr(at, end - at);
    at = end + 1;
    const auto equals = one.find('=');
    if (labels == nullptr || text_in(labels->as_object(), one.substr(0, equals)) != one.substr(equals + 1))
      return false;
  }
  return true;
}

json::object kube_status(int code, const std::string& reason, const std::string& message) {
  return {{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
          {"code", code},     {"reason", reason},   {"message", message}};
}

void KubeStore::put(const KubePath& path, Stored stored, const char* type) {
  child_of(stored.object, "metadata")["resourceVersion"] = std::to_string(++version_);
  events_.push_back({version_, path.collection, type, stored.object});
  objects_[{path.collection, path.name}] = std::move(stored);
}

void KubeStore::drop(const Key& key) {
  json::object last = std::move(objects_.at(key).object);
  objects_.erase(key);
  child_of(last, "metadata")["resourceVersion"] = std::to_string(++version_);
  events_.push_back({version_, key.first, "DELETED", std::move(last)});
}

/// Stores what changed; what was to go and is held by nothing any more goes.
KubeReply KubeStore::finish(const KubePath& path, Stored stored, const char* type) {
  const Key key{path.collection, path.name};
  const bool is_pod = path.plural() == "pods";
  const bool is_going =
      !metadata_text(stored.object, "deletionTimestamp").empty() && !has_finalizers(stored.object) && !is_pod;
  const bool is_new = std::string_view(type) == "ADDED";
  if (!is_new && !is_going && objects_.at(key).object == stored.object) {
    objects_.at(key).owners = std::move(stored.owners);
    return {200, objects_.at(key).object};
  }
  put(path, std::move(stored), type);
  json::object body = objects_.at(key).object;
  if (is_going) drop(key);
  return {is_new ? 201 : 200, std::move(body)};
}

KubeReply KubeStore::get(const KubePath& path) const {
  const auto found = objects_.find({path.collection, path.name});
  if (found == objects_.end()) return not_found(path);
  return {200, found->second.object};
}

KubeReply KubeStore::list(const std::string& collection, const std::string& selector, std::size_t limit,
                          const std::string& after) const {
  json::array items;
  std::string next;
  for (auto it = objects_.lower_bound({collection, ""}); it != objects_.end() && it->first.first == collection; ++it) {
    if (!after.empty() && it->first.second <= after) continue;
    if (!matches_selector(it->second.object, selector)) continue;
    if (limit > 0 && items.size() == limit) {
      next = metadata_text(items.back().as_object(), "name");
      break;
    }
    items.push_back(it->second.object);
  }
  json::object metadata = {{"resourceVersion", std::to_string(version_)}};
  if (!next.empty()) metadata["continue"] = next;
  return {200,
          {{"kind", "List"}, {"apiVersion", "v1"}, {"metadata", std::move(metadata)}, {"items", std::move(items)}}};
}

KubeReply KubeStore::create(const KubePath& path, json::object body, const std::string& manager) {
  KubePath named = path;
  named.name = metadata_text(body, "name");
  if (objects_.contains({named.collection, named.name})) {
    return refuse(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", named.plural(), named.name));
  }
  if (!metadata_text(body, "resourceVersion").empty())
    return refuse(409, "Conflict", "resourceVersion should not be set on objects to be created");
  Stored stored;
  for (const auto& [field, value] : fields_of(body)) stored.owners[field] = {manager + " (update)"};
  stored.object = std::move(body);
  json::object& metadata = child_of(stored.object, "metadata");
  metadata["uid"] = fmt::format("uid-{}", ++uids_);
  metadata["creationTimestamp"] = fmt::format("2026-11-21T08:{:02}:{:02}Z", uids_ / 60 % 60, uids_ % 60);
  return finish(named, std::move(stored), "ADDED");
}

KubeReply KubeStore::replace(const KubePath& path, json::object body, const std::string& manager) {
  const auto found = objects_.find({path.collection, path.name});
  if (found == objects_.end()) return not_found(path);
  const std::string version = metadata_text(body, "resourceVersion");
  if (!version.empty() && version != metadata_text(found->second.object, "resourceVersion")) return changed(path);
  Stored stored = found->second;
  const auto before = fields_of(stored.object);
  for (const char* kept : {"uid", "creationTimestamp", "resourceVersion"})
    child_of(body, "metadata")[kept] = metadata_text(stored.object, kept);
  stored.object = std::move(body);
  for (const auto& [field, value] : fields_of(stored.object)) {
    const auto known = before.find(field);
    if (known == before.end() || known->second != value) stored.owners[field] = {manager + " (update)"};
  }
  return finish(path, std::move(stored), "MODIFIED");
}

KubeReply KubeStore::apply(const KubePath& path, json::object body, const std::string& manager, bool force) {
  const auto found = objects_.find({path.collection, path.name});
  const std::string version = metadata_text(body, "resourceVersion");
  const auto applied = fields_of(body);
  if (found == objects_.end()) {
    if (!version.empty()) return refuse(409, "Conflict", "resourceVersion should not be set on objects to be created");
    KubeReply made = create(path, std::move(body), manager);
    Stored& stored = objects_.at({path.collection, path.name});
    stored.owners.clear();
    for (const auto& [field, value] : applied) stored.owners[field] = {manager};
    return made;
  }
  if (!version.empty() && version != metadata_text(found->second.object, "resourceVersion")) return changed(path);
  Stored stored = found->second;
  const auto before = fields_of(stored.object);
  json::array causes;
  for (const auto& [field, value] : applied) {
    const auto owners = stored.owners.find(field);
    const auto known = before.find(field);
    const bool differs = known == before.end() || known->second != value;
    if (!differs || owners == stored.owners.end()) continue;
    for (const std::string& owner : owners->second) {
      if (owner == manager) continue;
      causes.push_back(json::object{
          {"reason", "FieldManagerConflict"}, {"field", field}, {"message", "conflict with \"" + owner + "\""}});
    }
  }
  if (!causes.empty() && !force) {
    json::object status = kube_status(
        409, "Conflict", fmt::format("Apply failed with {} conflict(s): {}", causes.size(), json::serialize(causes)));
    status["details"] = json::object{{"causes", std::move(causes)}};
    return {409, std::move(status)};
  }
  for (const auto& [field, value] : applied) {
    const auto known = before.find(field);
    const bool differs = known == before.end() || known->second != value;
    if (differs) stored.owners[field].clear();
    stored.owners[field].insert(manager);
    set_field(stored.object, field, value);
  }
  for (auto it = stored.owners.begin(); it != stored.owners.end();) {
    if (!applied.contains(it->first)) it->second.erase(manager);
    if (!it->second.empty()) {
      ++it;
      continue;
    }
    erase_field(stored.object, it->first);
    it = stored.owners.erase(it);
  }
  return finish(path, std::move(stored), "MODIFIED");
}

KubeReply KubeStore::merge(const KubePath& path, const json::object& patch, const std::string& manager) {
  const auto found = objects_.find({path.collection, path.name});
  if (found == objects_.end()) return not_found(path);
  Stored stored = found->second;
  const auto before = fields_of(stored.object);
  merge_into(stored.object, patch);
  for (const auto& [field, value] : fields_of(stored.object)) {
    const auto known = before.find(field);
    if (known == before.end() || known->second != value) stored.owners[field] = {manager + " (update)"};
  }
  return finish(path, std::move(stored), "MODIFIED");
}

KubeReply KubeStore::remove(const KubePath& path, const json::object& options) {
  const auto found = objects_.find({path.collection, path.name});
  if (found == objects_.end()) return not_found(path);
  if (const json::value* wanted = options.if_contains("preconditions")) {
    for (const char* key : {"uid", "resourceVersion"}) {
      const std::string value = text_in(wanted->as_object(), key);
      if (!value.empty() && value != metadata_text(found->second.object, key)) return changed(path);
    }
  }
  const json::value* grace = options.if_contains("gracePeriodSeconds");
  const bool at_once = grace != nullptr && grace->is_int64() && grace->get_int64() == 0;
  const bool is_foreground = text_in(options, "propagationPolicy") == "Foreground";
  const bool waits = is_foreground || has_finalizers(found->second.object) || (path.plural() == "pods" && !at_once);
  if (!waits) {
    json::object body = found->second.object;
    drop(Key(found->first));  // a copy: what it names goes with the entry
    return {200, std::move(body)};
  }
  Stored stored = found->second;
  json::object& metadata = child_of(stored.object, "metadata");
  if (!metadata.contains("deletionTimestamp")) metadata["deletionTimestamp"] = "2026-11-21T09:00:00Z";
  if (is_foreground && !has_finalizers(stored.object)) metadata["finalizers"] = json::array{json::value(kForeground)};
  return finish(path, std::move(stored), "MODIFIED");
}

std::optional<std::vector<KubeStore::Event>> KubeStore::events_after(std::int64_t version,
                                                                     const std::string& collection,
                                                                     const std::string& selector) const {
  if (version < forgotten_) return std::nullopt;
  std::vector<Event> out;
  const auto from = std::upper_bound(events_.begin(), events_.end(), version,
                                     [](std::int64_t wanted, const Event& event) { return wanted < event.version; });
  for (auto it = from; it != events_.end(); ++it) {
    if (it->collection == collection && matches_selector(it->object, selector)) out.push_back(*it);
  }
  return out;
}

void KubeStore::forget_past() {
  events_.clear();
  // A version that no list has given yet: also a watch from the newest one is too old.
  forgotten_ = ++version_;
}

std::size_t KubeStore::count(const std::string& plural) const {
  return static_cast<std::size_t>(std::count_if(
      objects_.begin(), objects_.end(), [&](const auto& entry) { return entry.first.first.ends_with("/" + plural); }));
}

}  // namespace tidegate::test
