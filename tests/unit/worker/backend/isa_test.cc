#include "worker/backend/cpu/isa.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tidegate::worker {
namespace {

TEST(CpuIsas, EachHasANameOfItsOwn) {
  std::set<std::string> names;
  for (int i = 0; i < kCpuIsas; ++i) names.emplace(isa_name(static_cast<CpuIsa>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kCpuIsas));
  EXPECT_FALSE(names.contains("?"));
}

TEST(CpuIsas, TheReferencesAreThereOnEveryCpu) {
  for (const CpuIsa isa : {CpuIsa::kScalar, CpuIsa::kAmxReference, CpuIsa::kInt8Reference}) {
    EXPECT_TRUE(isa_available(isa)) << isa_name(isa);
    EXPECT_EQ(isa_lack(isa), "");
  }
}

TEST(ChooseIsa, TheDefaultIsTheWidestExactOne) {
  const auto isa = choose_isa("exact", "auto");
  ASSERT_TRUE(isa) << isa.error().to_string();
  EXPECT_EQ(*isa, resolve_isa(CpuIsa::kAuto));
  EXPECT_EQ(arithmetic_of(*isa), Arithmetic::kExact);
}

TEST(ChooseIsa, Bf16IsAmxWhereThereIsAmx) {
  const auto isa = choose_isa("bf16", "auto");
  if (isa_available(CpuIsa::kAmxBf16)) {
    ASSERT_TRUE(isa) << isa.error().to_string();
    EXPECT_EQ(*isa, CpuIsa::kAmxBf16);
  } else if (isa_available(CpuIsa::kAvx512Bf16)) {
    ASSERT_TRUE(isa) << isa.error().to_string();
    EXPECT_EQ(*isa, CpuIsa::kAvx512Bf16);
  } else {
    ASSERT_FALSE(isa);
    EXPECT_EQ(isa.error().field, "arithmetic");
  }
}

TEST(ChooseIsa, ANameIsTakenAtItsWord) {
  EXPECT_EQ(choose_isa("exact", "scalar").value(), CpuIsa::kScalar);
  EXPECT_EQ(choose_isa("bf16", "amx-reference").value(), CpuIsa::kAmxReference);
  EXPECT_EQ(choose_isa("fast", "int8-reference").value(), CpuIsa::kInt8Reference);
}

TEST(ChooseIsa, WhatThisCpuLacksIsRefusedWithTheReasonAndTheFix) {
  for (int i = 0; i < kCpuIsas; ++i) {
    const auto isa = static_cast<CpuIsa>(i);
    if (isa_available(isa)) continue;
    const char* arithmetic = arithmetic_of(isa) == Arithmetic::kExact ? "exact" : arithmetic_of(isa) == Arithmetic::kBf16 ? "bf16" : "fast";
    const auto chosen = choose_isa(arithmetic, isa_name(isa));
    ASSERT_FALSE(chosen) << isa_name(isa);
    EXPECT_EQ(chosen.error().reason, "bad_config");
    EXPECT_EQ(chosen.error().field, "kernels");
    EXPECT_NE(chosen.error().message.find(isa_lack(isa)), std::string::npos) << chosen.error().message;
    EXPECT_NE(chosen.error().message.find("kernels = auto"), std::string::npos) << chosen.error().message;
  }
}

TEST(ChooseIsa, KernelsOfAnotherArithmeticAreRefused) {
  const auto chosen = choose_isa("exact", "amx-reference");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().field, "kernels");
  EXPECT_NE(chosen.error().message.find("arithmetic = bf16"), std::string::npos) << chosen.error().message;
  EXPECT_FALSE(choose_isa("bf16", "scalar"));
  EXPECT_FALSE(choose_isa("fast", "amx-reference"));
}

TEST(ChooseIsa, WhatNobodyKnowsIsRefusedByName) {
  EXPECT_EQ(choose_isa("quick", "auto").error().field, "arithmetic");
  const auto chosen = choose_isa("exact", "sse2");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().field, "kernels");
  EXPECT_NE(chosen.error().message.find("avx512"), std::string::npos) << "it lists what there is";
}

}  // namespace
}  // namespace tidegate::worker
