{{/* Environment of the gateway. */}}
{{- define "gateway.env" -}}
{{- $pod := or (and .Values.telemetry.enabled (not .Values.telemetry.address)) .Values.control.enabled -}}
{{- if or .Values.nodes .Values.otlp.endpoint }}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- end }}
{{- if $pod }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
- name: TCMU_GATEWAY_CONFIG
  value: {{ include "gateway.configPath" . }}
{{- if .Values.telemetry.enabled }}
- name: TCMU_GATEWAY__TELEMETRY__LISTEN
  value: {{ printf "%s:%d" (default "$(POD_IP)" .Values.telemetry.address) (int64 .Values.telemetry.port) | quote }}
{{- end }}
{{- if .Values.control.enabled }}
- name: TCMU_GATEWAY__CONTROL__LISTEN
  value: "$(POD_IP):{{ int64 .Values.control.port }}"
- name: TCMU_GATEWAY__CONTROL__CERTIFICATEFILE
  value: /control-tls/tls.crt
- name: TCMU_GATEWAY__CONTROL__KEYFILE
  value: /control-tls/tls.key
- name: TCMU_GATEWAY__CONTROL__CLIENTCAFILE
  value: /control-tls/ca.crt
{{- end }}
{{- if .Values.otlp.endpoint }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.otlp.endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .Values.otlp.protocol | quote }}
{{- with .Values.otlp.headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.node.name=$(NODE_NAME),k8s.pod.name=$(POD_NAME),k8s.namespace.name={{ .Release.Namespace }},k8s.daemonset.name={{ include "gateway.fullname" . }}
    {{- range $name, $value := .Values.otlp.resourceAttributes }},{{ $name }}={{ $value }}{{ end }}
{{- end }}
{{- include "gateway.storeEnv" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An HTTP probe: (list . PATH). The kubelet is on the node, as the gateway is. */}}
{{- define "gateway.probe" -}}
{{- $root := index . 0 -}}
httpGet:
  path: {{ index . 1 }}
  port: metrics
  {{- with $root.Values.telemetry.address }}
  {{- if not (has . (list "0.0.0.0" "[::]")) }}
  host: {{ trimAll "[]" . | quote }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "gateway.mounts" -}}
- name: config
  mountPath: /etc/tcmu-gateway
  readOnly: true
{{- include "gateway.secretMounts" . }}
{{- if .Values.control.enabled }}
- name: control-tls
  mountPath: /control-tls
  readOnly: true
{{- end }}
# Backstores, targets, portals: LIO's objects are directories here.
- name: configfs
  mountPath: /sys/kernel/config
# Nodes of UIO devices appear with each disk; a container's own /dev is made once.
- name: dev
  mountPath: /dev
{{- if not .Values.privileges.privileged }}
# block_netlink and reset_netlink: waiters that a killed predecessor left are let go. A container's own /sys is read-only.
- name: tcmu-parameters
  mountPath: /sys/module/target_core_user/parameters
{{- end }}
- name: state
  mountPath: /var/lib/tcmu-gateway
{{- if ne .Values.storage.cache.type "state" }}
- name: cache
  mountPath: /var/lib/tcmu-gateway/cache
{{- end }}
# The control socket: for the commands in the pod.
- name: run
  mountPath: /run/tcmu-gateway
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.volumes" -}}
- name: config
  configMap:
    name: {{ include "gateway.fullname" . }}
{{- include "gateway.secretVolumes" . }}
{{- if .Values.control.enabled }}
- name: control-tls
  secret:
    secretName: {{ .Values.control.tlsSecret }}
    defaultMode: 0400
{{- end }}
- name: configfs
  hostPath:
    path: /sys/kernel/config
    type: Directory
- name: dev
  hostPath:
    path: /dev
    type: Directory
{{- if not .Values.privileges.privileged }}
- name: tcmu-parameters
  hostPath:
    path: /sys/module/target_core_user/parameters
{{- end }}
- name: state
  {{- if eq .Values.storage.state.type "hostPath" }}
  hostPath:
    path: {{ .Values.storage.state.hostPath }}
    type: DirectoryOrCreate
  {{- else }}
  persistentVolumeClaim:
    claimName: {{ .Values.storage.state.existingClaim }}
  {{- end }}
{{- if ne .Values.storage.cache.type "state" }}
- name: cache
  {{- include "gateway.cacheVolume" . | nindent 2 }}
{{- end }}
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if .Values.kernelModules.enabled }}
- name: node
  hostPath:
    path: /
    type: Directory
- name: reservations
  hostPath:
    path: /etc/target/pr
    type: DirectoryOrCreate
- name: alua
  hostPath:
    path: /etc/target/alua
    type: DirectoryOrCreate
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.cacheVolume" -}}
{{- with .Values.storage.cache -}}
{{- if eq .type "hostPath" -}}
hostPath:
  path: {{ .hostPath }}
  type: DirectoryOrCreate
{{- else if eq .type "ephemeral" -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClassName }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .size }}
{{- else -}}
emptyDir:
  sizeLimit: {{ .size }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The values' affinity; with nodes, only those. A term for each: matchFields takes one name. */}}
{{- define "gateway.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- if .Values.nodes -}}
{{- $terms := list -}}
{{- range $node := keys .Values.nodes | sortAlpha -}}
{{- $terms = append $terms (dict "matchFields" (list (dict "key" "metadata.name" "operator" "In" "values" (list $node)))) -}}
{{- end -}}
{{- $required := dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) -}}
{{- $_ := set $affinity "nodeAffinity" (merge $required (default dict $affinity.nodeAffinity)) -}}
{{- end -}}
{{- if $affinity -}}{{ toYaml $affinity }}{{- end -}}
{{- end -}}
