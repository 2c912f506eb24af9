#include "billing/core/person_rules.h"

#include <gtest/gtest.h>

namespace tidegate::billing {
namespace {

using Values = std::vector<std::string>;

RoleMap map_of(const std::string& text) { return RoleMap::parse(text).value(); }

TEST(RoleMap, TheFirstEntryThatFitsDecides) {
  const RoleMap map = map_of("admins=owner, finance = billing ,everyone=viewer");
  EXPECT_EQ(map.role_of(Values{"everyone", "finance"}), AdminRole::kBilling);
  EXPECT_EQ(map.role_of(Values{"everyone"}), AdminRole::kViewer);
  EXPECT_EQ(map.role_of(Values{"finance", "admins"}), AdminRole::kOwner);
  EXPECT_FALSE(map.role_of(Values{"Admins", "admin", ""})) << "to the letter";
  EXPECT_FALSE(map.role_of(Values{}));
}

TEST(RoleMap, AValueMayHoldAnEqualsSign) {
  EXPECT_EQ(map_of("cn=admins=operator").role_of(Values{"cn=admins"}), AdminRole::kOperator);
}

TEST(RoleMap, EveryMistakeIsNamed) {
  for (const char* text : {"", "admins", "=owner", "admins=", "admins=king", "a=owner,", "a=owner,a=viewer", "a=owner,,b=viewer"}) {
    const auto parsed = RoleMap::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().reason, "bad_role_map") << text;
    EXPECT_EQ(parsed.error().field, "oidc.role_map") << text;
  }
  EXPECT_NE(RoleMap::parse("a=king").error().message.find("'a=king'"), std::string::npos);
  std::string many = "v0=viewer";
  for (std::size_t i = 1; i < RoleMap::kEntriesMax; ++i) many += ",v" + std::to_string(i) + "=viewer";
  EXPECT_TRUE(RoleMap::parse(many));
  EXPECT_FALSE(RoleMap::parse(many + ",one-more=viewer"));
  EXPECT_FALSE(RoleMap::parse(std::string(RoleMap::kValueBytesMax + 1, 'v') + "=viewer"));
}

TEST(ShapeOfPerson, WithoutATenantClaimEverybodyIsOfTheInstallation) {
  const auto person = shape_of_person(map_of("a=owner"), Values{"a"}, std::nullopt);
  ASSERT_TRUE(person);
  EXPECT_EQ(person->role, AdminRole::kOwner);
  EXPECT_EQ(person->tenant, "");
}

TEST(ShapeOfPerson, WithATenantClaimNobodyIsOfTheInstallationByAccident) {
  const RoleMap map = map_of("ops=operator,a=owner");
  EXPECT_EQ(shape_of_person(map, Values{"a"}, Values{"acme"})->tenant, "acme");
  EXPECT_EQ(shape_of_person(map, Values{"a"}, Values{"*"})->tenant, "");
  EXPECT_EQ(shape_of_person(map, Values{"a"}, Values{}).error().reason, "no_tenant");
  EXPECT_EQ(shape_of_person(map, Values{"a"}, Values{""}).error().reason, "no_tenant");
  EXPECT_EQ(shape_of_person(map, Values{"a"}, Values{"acme", "*"}).error().reason, "no_tenant");
  EXPECT_EQ(shape_of_person(map, Values{"ops"}, Values{"acme"}).error().reason, "operator_of_a_tenant");
  EXPECT_EQ(shape_of_person(map, Values{"ops"}, Values{"*"})->role, AdminRole::kOperator);
}

TEST(ShapeOfPerson, WhoIsInNoGroupMayNothing) {
  const auto person = shape_of_person(map_of("a=owner"), Values{"b"}, std::nullopt);
  ASSERT_FALSE(person);
  EXPECT_EQ(person.error().code, Code::kPermissionDenied);
  EXPECT_EQ(person.error().reason, "no_role");
}

}  // namespace
}  // namespace tidegate::billing
