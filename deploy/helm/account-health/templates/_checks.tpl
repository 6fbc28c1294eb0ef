{{- /* What the schema can't say: values that must be given, and values that must fit each other. */ -}}
{{- define "account-health.check" -}}
{{- with .Values -}}
{{- if not .kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is missing: set it to host:port of your brokers" -}}
{{- end -}}
{{- if and (not .secrets.existingSecret) (not (and .secrets.databaseUrl .secrets.encryptionKey)) -}}
{{- fail "secrets.existingSecret is missing: name a Secret with HEALTH_DATABASE_URL and HEALTH_ENCRYPTION_KEY, or set secrets.databaseUrl and secrets.encryptionKey" -}}
{{- end -}}
{{- if and .secrets.existingSecret (or .secrets.databaseUrl .secrets.encryptionKey .secrets.kafkaSaslPassword .secrets.readerPassword) -}}
{{- fail "secrets.existingSecret is set, so no other value of secrets is used: put them into that Secret, or leave it out" -}}
{{- end -}}
{{- if hasPrefix "SASL_" .kafka.securityProtocol -}}
{{- if not .kafka.sasl.username -}}
{{- fail (printf "kafka.sasl.username is missing: kafka.securityProtocol %s needs it" .kafka.securityProtocol) -}}
{{- end -}}
{{- if not (or .secrets.existingSecret .secrets.kafkaSaslPassword) -}}
{{- fail (printf "secrets.kafkaSaslPassword is missing: kafka.securityProtocol %s needs it" .kafka.securityProtocol) -}}
{{- end -}}
{{- end -}}
{{- if and .analytics.reader (not (or .secrets.existingSecret .secrets.readerPassword)) -}}
{{- fail "secrets.readerPassword is missing: analytics.reader needs it" -}}
{{- end -}}
{{- if and .kafka.tls.existingSecret (not (hasSuffix "SSL" .kafka.securityProtocol)) -}}
{{- fail (printf "kafka.tls.existingSecret isn't used: set kafka.securityProtocol to SSL or SASL_SSL, not %s" .kafka.securityProtocol) -}}
{{- end -}}
{{- if ne (empty .kafka.tls.certKey) (empty .kafka.tls.keyKey) -}}
{{- fail "kafka.tls.certKey and kafka.tls.keyKey belong together: set both, or neither" -}}
{{- end -}}
{{- $most := .kafka.partitions | int -}}
{{- if and (not .consumer.autoscaling.enabled) (gt (int .consumer.replicas) $most) -}}
{{- fail (printf "consumer.replicas is %d, and kafka.partitions %d: more consumers than partitions have nothing to do" (int .consumer.replicas) $most) -}}
{{- end -}}
{{- if .consumer.autoscaling.enabled -}}
{{- if gt (int .consumer.autoscaling.maxReplicas) $most -}}
{{- fail (printf "consumer.autoscaling.maxReplicas is %d, and kafka.partitions %d: more consumers than partitions have nothing to do" (int .consumer.autoscaling.maxReplicas) $most) -}}
{{- end -}}
{{- if gt (int .consumer.autoscaling.minReplicas) (int (.consumer.autoscaling.maxReplicas | default $most)) -}}
{{- fail "consumer.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- if and .api.autoscaling.enabled (gt (int .api.autoscaling.minReplicas) (int .api.autoscaling.maxReplicas)) -}}
{{- fail "api.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if and .api.ingress.enabled (not .api.ingress.host) -}}
{{- fail "api.ingress.host is missing: set the name that people reach the API by" -}}
{{- end -}}
{{- if and .tracing.enabled (not .tracing.endpoint) -}}
{{- fail "tracing.endpoint is missing: set the address of a collector, http://HOST:4318" -}}
{{- end -}}
{{- end -}}
{{- end }}
