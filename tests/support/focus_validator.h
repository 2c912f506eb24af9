#pragma once

#include <map>
#include <regex>
#include <string>
#include <vector>

#include "base/core/money.h"

namespace tidegate::test {

/// Splits CSV of RFC 4180 into records. For reading back what the product wrote.
inline std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> out;
  std::vector<std::string> record;
  std::string field;
  bool is_quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        is_quoted = false;
      }
    } else if (c == '"') {
      is_quoted = true;
    } else if (c == ',' || c == '\n') {
      record.push_back(std::move(field));
      field.clear();
      if (c == '\n') {
        out.push_back(std::move(record));
        record.clear();
      }
    } else if (c != '\r') {
      field += c;
    }
  }
  return out;
}

/// Rules of FOCUS 1.2 that concern our columns, written from the specification's text and not from our code: names that
/// must be there, what may be null and when, shapes of numbers and instants, allowed values, how costs hang together.
class FocusValidator {
 public:
  /// Complaints, none for a sound file.
  std::vector<std::string> check(const std::string& csv) {
    const auto records = parse_csv(csv);
    if (records.empty()) return {"no header"};
    columns_.clear();
    for (std::size_t i = 0; i < records[0].size(); ++i) columns_[records[0][i]] = i;
    for (const char* name : kMandatory) {
      if (!columns_.contains(name)) complain(0, std::string("column ") + name + " is missing");
    }
    if (!complaints_.empty()) return complaints_;
    for (std::size_t i = 1; i < records.size(); ++i) {
      if (records[i].size() != records[0].size()) {
        complain(i, "has another number of fields than the header");
        continue;
      }
      row_ = &records[i];
      check_row(i);
    }
    return complaints_;
  }

  /// Exact sum of BilledCost per InvoiceId; "" holds the rows without one.
  static std::map<std::string, Money> billed(const std::string& csv) {
    const auto records = parse_csv(csv);
    std::map<std::string, std::size_t> columns;
    for (std::size_t i = 0; i < records.at(0).size(); ++i) columns[records[0][i]] = i;
    std::map<std::string, Money> out;
    for (std::size_t i = 1; i < records.size(); ++i) {
      out[records[i].at(columns.at("InvoiceId"))] += Money::parse(records[i].at(columns.at("BilledCost"))).value();
    }
    return out;
  }

 private:
  static constexpr const char* kMandatory[] = {
      "BilledCost",         "BillingAccountId", "BillingAccountName", "BillingCurrency",   "BillingPeriodEnd",
      "BillingPeriodStart", "ChargeCategory",   "ChargeClass",        "ChargeDescription", "ChargePeriodEnd",
      "ChargePeriodStart",  "ContractedCost",   "EffectiveCost",      "InvoiceIssuer",     "ListCost",
      "PricingQuantity",    "PricingUnit",      "Provider",           "Publisher",         "ServiceCategory",
      "ServiceName"};

  const std::string& at(const char* name) const { return row_->at(columns_.at(name)); }
  void complain(std::size_t row, const std::string& what) {
    complaints_.push_back("row " + std::to_string(row) + ": " + what);
  }

  void check_row(std::size_t row) {
    // Numeric format: no '+', no separators; scientific notation is allowed by the specification and not used by us.
    static const std::regex kNumber("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
    static const std::regex kInstant("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z");
    for (const char* name : {"BilledCost", "EffectiveCost", "ListCost", "ContractedCost"}) {
      if (!std::regex_match(at(name), kNumber))
        complain(row, std::string(name) + " must be a number, is '" + at(name) + "'");
    }
    for (const char* name : {"ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "ConsumedQuantity"}) {
      if (!at(name).empty() && !std::regex_match(at(name), kNumber))
        complain(row, std::string(name) + " must be a number or null");
    }
    for (const char* name : {"BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"}) {
      if (!std::regex_match(at(name), kInstant)) complain(row, std::string(name) + " must be an instant in UTC");
    }
    if (at("BillingPeriodStart") >= at("BillingPeriodEnd")) complain(row, "the billing period is empty");
    if (at("ChargePeriodStart") >= at("ChargePeriodEnd")) complain(row, "the charge period is empty");
    for (const char* name : {"BillingAccountId", "BillingCurrency", "ChargeCategory", "InvoiceIssuer", "Provider",
                             "Publisher", "ServiceCategory", "ServiceName"}) {
      if (at(name).empty()) complain(row, std::string(name) + " must not be null");
    }
    static const std::regex kCurrency("[A-Z]{3}");
    if (!std::regex_match(at("BillingCurrency"), kCurrency)) complain(row, "BillingCurrency must be of ISO 4217");
    static const std::regex kCategory("Usage|Purchase|Tax|Credit|Adjustment");
    if (!std::regex_match(at("ChargeCategory"), kCategory))
      complain(row, "ChargeCategory '" + at("ChargeCategory") + "' is not allowed");
    if (!at("ChargeClass").empty() && at("ChargeClass") != "Correction")
      complain(row, "ChargeClass must be null or Correction");
    static const std::regex kFrequency("One-Time|Recurring|Usage-Based");
    if (!std::regex_match(at("ChargeFrequency"), kFrequency)) complain(row, "ChargeFrequency is not allowed");
    if (at("ChargeCategory") == "Purchase" && at("ChargeFrequency") == "Usage-Based")
      complain(row, "a Purchase is not Usage-Based");
    static const std::regex kService("AI and Machine Learning");
    if (!std::regex_match(at("ServiceCategory"), kService))
      complain(row, "ServiceCategory is not one of the specification");
    check_usage(row);
  }

  void check_usage(std::size_t row) {
    const bool is_usage = at("ChargeCategory") == "Usage";
    for (const char* name : {"ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingUnit",
                             "ConsumedQuantity", "ConsumedUnit", "SkuId", "SkuPriceId", "PricingCategory"}) {
      if (is_usage == at(name).empty())
        complain(row, std::string(name) + (is_usage ? " must not be null for Usage" : " must be null"));
    }
    if (is_usage && at("ChargeClass").empty() && at("ChargePeriodStart") < at("BillingPeriodStart")) {
      complain(row, "usage before the billing period is a Correction");
    }
    if (at("ChargeCategory") == "Tax" && !at("SkuId").empty()) complain(row, "SkuId must be null for Tax");
    if (at("ChargeCategory") == "Purchase" && !at("InvoiceId").empty())
      complain(row, "what is paid in is not on an invoice");
    if (!is_usage) return;
    // Exactly, in integers: the validators of the market compare products of floats and fail sound files.
    const Int128 micro_quantity = Money::parse(at("PricingQuantity")).value().pico() / 1'000'000;
    const auto check_product = [&](const char* price, const char* cost) {
      const Int128 pico = Money::parse(at(price)).value().pico();
      if (pico % 1'000'000 != 0) return;  // a price after a factor may have more places than a product can show
      if (Money::from_pico(pico / 1'000'000 * micro_quantity) != Money::parse(at(cost)).value()) {
        complain(row, std::string(cost) + " is not " + price + " x PricingQuantity");
      }
    };
    check_product("ListUnitPrice", "ListCost");
    check_product("ContractedUnitPrice", "ContractedCost");
    if (int128_to_string(micro_quantity) != at("ConsumedQuantity"))
      complain(row, "PricingQuantity is not ConsumedQuantity in millions");
  }

  std::map<std::string, std::size_t> columns_;
  const std::vector<std::string>* row_ = nullptr;
  std::vector<std::string> complaints_;
};

}  // namespace tidegate::test
