#pragma once

#include "billing/adapters/invoice_query.h"
#include "billing/core/margin.h"
#include "tidegate/v1/statement.pb.h"

/// Our rows -> proto/tidegate/v1/statement.proto.
namespace tidegate::billing {

v1::Issuer to_message(const IssuerRow& row);
v1::BillingProfile to_message(const ProfileRow& row, const std::string& tenant_name);
v1::Invoice to_message(const InvoiceRow& row);
v1::InvoiceLine to_message(const InvoiceLineRow& row);
v1::LineRequest to_message(const LineRequest& row);
v1::MarginRow to_message(const MarginRow& row);

}  // namespace tidegate::billing
