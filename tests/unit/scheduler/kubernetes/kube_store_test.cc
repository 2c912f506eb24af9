#include "tests/support/kube/kube_store.h"

#include <gtest/gtest.h>

namespace tidegate::test {
namespace {

const KubePath kPath{"/apis/apps/v1/namespaces/tg/deployments", "d", ""};

json::object object(const std::string& text) { return json::parse(text)->as_object(); }

TEST(KubeStore, PathsAreCut) {
  const KubePath path = parse_kube_path("/api/v1/namespaces/tg/pods/p/status");
  EXPECT_EQ(path.collection, "/api/v1/namespaces/tg/pods");
  EXPECT_EQ(path.name, "p");
  EXPECT_EQ(path.part, "status");
  EXPECT_EQ(path.plural(), "pods");
  EXPECT_EQ(parse_kube_path("/api/v1/namespaces/tg/pods").name, "");
}

TEST(KubeStore, FieldOfAnotherManagerIsAConflictUnlessForced) {
  KubeStore store;
  const json::object ours = object(R"({"metadata": {"name": "d"}, "spec": {"a": 1, "b": 1}})");
  EXPECT_EQ(store.apply(kPath, ours, "one", false).status, 201);
  EXPECT_EQ(store.apply(kPath, object(R"({"metadata": {"name": "d"}, "spec": {"a": 1}})"), "two", false).status, 200)
      << "the same value is shared";
  const json::object theirs = object(R"({"metadata": {"name": "d"}, "spec": {"a": 2}})");
  const KubeReply refused = store.apply(kPath, theirs, "two", false);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.body.at("details").at("causes").at(0).at("reason").as_string(), "FieldManagerConflict");
  EXPECT_EQ(store.apply(kPath, theirs, "two", true).status, 200);
  EXPECT_EQ(store.apply(kPath, ours, "one", false).status, 409);
  EXPECT_EQ(store.get(kPath).body.at("spec").at("b").as_int64(), 1);
}

TEST(KubeStore, FieldThatItsOnlyOwnerLeavesOutGoes) {
  KubeStore store;
  store.apply(kPath, object(R"({"metadata": {"name": "d", "annotations": {"x/y": "1"}}, "spec": {"a": 1, "b": 1}})"),
              "one", false);
  store.apply(kPath, object(R"({"metadata": {"name": "d"}, "spec": {"a": 1}})"), "one", false);
  const json::object left = store.get(kPath).body;
  EXPECT_FALSE(left.at("spec").as_object().contains("b"));
  EXPECT_FALSE(left.at("metadata").at("annotations").as_object().contains("x/y"));
}

TEST(KubeStore, VersionsArePreconditions) {
  KubeStore store;
  const json::object ours = object(R"({"metadata": {"name": "d"}, "spec": {"a": 1}})");
  store.apply(kPath, ours, "one", false);
  json::object stale = ours;
  stale["metadata"].as_object()["resourceVersion"] = "1";
  EXPECT_EQ(store.apply(kPath, stale, "one", false).status, 409);
  EXPECT_EQ(store.replace(kPath, stale, "one").status, 409);
  EXPECT_EQ(store.remove(kPath, object(R"({"preconditions": {"uid": "another"}})")).status, 409);
  const std::int64_t before = store.version();
  store.apply(kPath, ours, "one", false);
  EXPECT_EQ(store.version(), before) << "nothing changed, nothing is told";
}

TEST(KubeStore, ForegroundDeletionWaitsForItsFinalizer) {
  KubeStore store;
  store.apply(kPath, object(R"({"metadata": {"name": "d"}, "spec": {"a": 1}})"), "one", false);
  store.remove(kPath, object(R"({"propagationPolicy": "Foreground"})"));
  EXPECT_TRUE(store.get(kPath).body.at("metadata").as_object().contains("deletionTimestamp"));
  store.merge(kPath, object(R"({"metadata": {"finalizers": null}})"), "gc");
  EXPECT_EQ(store.get(kPath).status, 404);
  const auto events = store.events_after(0, kPath.collection, "");
  ASSERT_TRUE(events);
  EXPECT_EQ(events->back().type, "DELETED");
}

TEST(KubeStore, PodsAreGoneOnlyWhenTheKubeletSaysSo) {
  KubeStore store;
  const KubePath pod{"/api/v1/namespaces/tg/pods", "p", ""};
  store.create(pod, object(R"({"metadata": {"name": "p"}})"), "x");
  store.remove(pod, {});
  EXPECT_EQ(store.count("pods"), 1u);
  store.remove(pod, object(R"({"gracePeriodSeconds": 0})"));
  EXPECT_EQ(store.count("pods"), 0u);
}

TEST(KubeStore, ListsInPagesByLabel) {
  KubeStore store;
  for (const char* name : {"a", "b", "c", "d"}) {
    json::object body = object(R"({"metadata": {"labels": {"x": "1"}}})");
    body["metadata"].as_object()["name"] = name;
    if (name[0] == 'c') body["metadata"].as_object().erase("labels");
    store.create({kPath.collection, "", ""}, body, "x");
  }
  const KubeReply first = store.list(kPath.collection, "x=1", 2, "");
  EXPECT_EQ(first.body.at("items").as_array().size(), 2u);
  const std::string next(first.body.at("metadata").at("continue").as_string());
  const KubeReply second = store.list(kPath.collection, "x=1", 2, next);
  EXPECT_EQ(second.body.at("items").as_array().size(), 1u);
  EXPECT_FALSE(second.body.at("metadata").as_object().contains("continue"));
}

TEST(KubeStore, ForgottenPastIsGone) {
  KubeStore store;
  store.create(kPath, object(R"({"metadata": {"name": "d"}})"), "x");
  const std::int64_t before = store.version();
  EXPECT_TRUE(store.events_after(before, kPath.collection, ""));
  store.forget_past();
  EXPECT_FALSE(store.events_after(before, kPath.collection, ""));
  EXPECT_TRUE(store.events_after(store.version(), kPath.collection, ""));
}

}  // namespace
}  // namespace tidegate::test
