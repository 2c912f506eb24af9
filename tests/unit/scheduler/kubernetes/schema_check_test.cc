#include "tests/support/kube/schema_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::test {
namespace {

std::vector<std::string> complaints(const std::string& text, bool is_whole = true) {
  return SchemaCheck::load().complaints(json::parse(text)->as_object(), is_whole);
}

TEST(SchemaCheck, ComplainsOfWhatAStrictServerRefuses) {
  const std::string head = R"("apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"})";
  EXPECT_THAT(complaints("{" + head + "}"), ::testing::IsEmpty());
  EXPECT_THAT(complaints("{" + head + R"(, "spec": {"clusterIp": "None"}})"),
              ::testing::ElementsAre(".spec.clusterIp: unknown field"));
  EXPECT_THAT(complaints("{" + head + R"(, "spec": {"ports": [{"port": 0}]}})"),
              ::testing::ElementsAre(".spec.ports[0].port: is too small"));
  EXPECT_THAT(complaints("{" + head + R"(, "spec": {"ports": [{"name": "x"}]}})"),
              ::testing::ElementsAre(".spec.ports[0].port: is required"));
  EXPECT_THAT(complaints("{" + head + R"(, "spec": {"type": "Ingress"}})"), ::testing::SizeIs(1));
  EXPECT_THAT(complaints("{" + head + R"(, "spec": {"clusterIP": 7}})"),
              ::testing::ElementsAre(".spec.clusterIP: must be of type string"));
  EXPECT_THAT(complaints(R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "S"}})"),
              ::testing::SizeIs(1));
  EXPECT_THAT(complaints(R"({"apiVersion": "v1", "kind": "Service", "metadata": {"labels": {"a": "-"}}})"),
              ::testing::SizeIs(1));
  EXPECT_THAT(complaints(R"({"apiVersion": "v2", "kind": "Service"})"),
              ::testing::ElementsAre("unknown kind v2.Service"));
}

TEST(SchemaCheck, PatchNeedsNotBeWhole) {
  const std::string patch =
      R"({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1}})";
  EXPECT_THAT(complaints(patch, false), ::testing::IsEmpty());
  EXPECT_THAT(complaints(patch), ::testing::SizeIs(2));
}

}  // namespace
}  // namespace tidegate::test
